//! Liveness and readiness.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Problem;
use super::state::ApiState;

/// Longest wait for the database and the storage.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(alive)).routes(routes!(ready))
}

#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<Health> = Json(Health { status: "ok" });

/// Check the service
#[utoipa::path(get, path = "/api/health", tag = "health", responses((status = 200, description = "The process answers", body = Health)))]
async fn health() -> Json<Health> {
    OK
}

/// Check that the process lives
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "The process answers", body = Health)))]
async fn alive() -> Json<Health> {
    OK
}

/// Check that the process can work
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "The process, the database and the storage answer", body = Health),
        (status = 503, description = "`unavailable`: the database or the storage does not answer, or the database is read-only"),
    ),
)]
async fn ready(State(state): State<ApiState>) -> Result<Json<Health>, Problem> {
    let database = timeout(READY_TIMEOUT, is_read_only(&state.pool));
    let storage = timeout(READY_TIMEOUT, state.environment.storage.installation());
    let (database, storage) = tokio::join!(database, storage);
    match database {
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => {
            return Err(Problem::unavailable(
                "The database is read-only: a standby, or read-only by a setting.",
            ));
        }
        Ok(Err(_)) | Err(_) => return Err(Problem::unavailable("The database does not answer.")),
    }
    // Every process marks the storage at its start. A volume that is not mounted has no mark.
    if !matches!(storage, Ok(Ok(Some(_)))) {
        return Err(Problem::unavailable("The storage cannot be reached."));
    }
    Ok(OK)
}

/// True if the database refuses writes, also on a fresh connection.
async fn is_read_only(pool: &PgPool) -> Result<bool, sqlx::Error> {
    let statement = "-- health::is_read_only\nSELECT current_setting('transaction_read_only')::boolean";
    if !sqlx::query_scalar::<_, bool>(statement).fetch_one(pool).await? {
        return Ok(false);
    }
    // The session may only be older than a promotion.
    bedel_queue::mark_stale();
    sqlx::query_scalar(statement).fetch_one(pool).await
}
