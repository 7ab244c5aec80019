//! Is the process alive, and can it do its work.

use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::ApiState;
use super::problem::Problem;

/// What does not answer within this time is not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/api/health", get(ok)).route("/livez", get(ok)).route("/readyz", get(ready))
}

/// Checks nothing: the process answers.
async fn ok() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// 503 while the database or the storage cannot be reached.
async fn ready(State(state): State<ApiState>) -> Result<Json<Value>, Problem> {
    let database = timeout(READY_WITHIN, sqlx::query("-- health::ready\nSELECT 1").execute(&state.pool));
    let storage = timeout(READY_WITHIN, state.environment.storage.installation());
    let (database, storage) = tokio::join!(database, storage);
    if !matches!(database, Ok(Ok(_))) {
        return Err(Problem::unavailable("The database does not answer."));
    }
    // The mark that every process leaves at its start: a volume that is not mounted has none.
    if !matches!(storage, Ok(Ok(Some(_)))) {
        return Err(Problem::unavailable("The storage cannot be reached."));
    }
    Ok(ok().await)
}
