//! The HTTP API: JSON over HTTP/1.1, errors as RFC 9457 problems.
//!
//! A handler reads what was sent, calls one function of `bedel_jobs` in one transaction, commits, wakes the workers and
//! answers. Rules about lectures live there, not here. What stands beside a handler describes it, and the whole description
//! is served as OpenAPI.

mod auth;
mod body;
mod cors;
mod course_sync;
mod courses;
mod documents;
mod file;
mod fleet;
mod health;
mod jobs;
mod lectures;
mod limits;
mod metrics;
mod observe;
mod openapi;
mod problem;
mod query;
mod server;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Extension, Router};
use bedel_jobs::Environment;
use bedel_jobs::registry;
use bedel_queue::{Queue, Registry};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Transaction};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use auth::{
    ASK_AGAIN_AFTER, Authenticator, Jwks, Jwt, JwtAlgorithm, JwtKeys, Token, Tokens, TokensError,
};
pub use cors::Origins;
pub use limits::Limits;
use problem::Problem;

/// How long a request waits for a connection before it answers 503.
const CONNECTION_WITHIN: Duration = Duration::from_secs(5);

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct ApiState {
    /// The database.
    pool: PgPool,
    /// Wakes the workers after a commit.
    queue: Queue,
    /// What the jobs work with; the API reads its storage and its settings.
    environment: Arc<Environment>,
    /// The kinds of jobs.
    registry: Registry<Arc<Environment>>,
    /// Who may ask.
    authenticator: Authenticator,
    /// How much, and how often.
    limits: Limits,
    /// Whose pages may ask from a browser.
    origins: Origins,
    /// What Prometheus was told last.
    told: metrics::Told,
}

impl ApiState {
    /// Call it inside a tokio runtime.
    #[must_use]
    pub fn new(
        environment: Arc<Environment>,
        authenticator: Authenticator,
        limits: Limits,
        origins: Origins,
    ) -> Self {
        let pool = environment.pool.clone();
        let registry = registry(Arc::clone(&environment));
        Self {
            queue: Queue::new(pool.clone()),
            pool,
            environment,
            registry,
            authenticator,
            limits,
            origins,
            told: metrics::Told::default(),
        }
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, Problem> {
        timeout(CONNECTION_WITHIN, self.pool.begin())
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(Problem::from)
    }

    async fn acquire(&self) -> Result<PoolConnection<Postgres>, Problem> {
        timeout(CONNECTION_WITHIN, self.pool.acquire())
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(Problem::from)
    }
}

/// All routes. Unknown paths and methods answer problems too.
pub fn router(state: ApiState) -> Router {
    router_until(state, CancellationToken::new())
}

/// As [`router`]; answers that wait for a job stop waiting when `stop` fires.
fn router_until(state: ApiState, stop: CancellationToken) -> Router {
    let (router, api) = described().split_for_parts();
    router
        .merge(openapi::routes(&openapi::finish(api)))
        .fallback(async || Problem::not_found("There is nothing at this address."))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This address does not take this method; the Allow header names those it takes.",
            )
        })
        .layer(Extension(stop))
        .layer(state.origins.layer())
        .layer(axum::middleware::from_fn(observe::observe))
        .with_state(state)
}

/// The handlers with their descriptions.
fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::empty())
        .merge(lectures::routes())
        .merge(documents::routes())
        .merge(courses::routes())
        .merge(course_sync::routes())
        .merge(jobs::routes())
        .merge(fleet::routes())
        .merge(health::routes())
        .merge(metrics::routes())
}

/// The description of the API: OpenAPI 3.1, as JSON for people.
#[must_use]
pub fn description() -> String {
    let api = openapi::finish(described().into_openapi());
    api.to_pretty_json().expect("a description is plain data") + "\n"
}

/// Serves until `stop` fires, then lets running requests end for at most ten seconds.
pub async fn serve(listener: TcpListener, state: ApiState, stop: CancellationToken) {
    tokio::spawn(crate::metrics::upkeep(stop.clone()));
    server::run(listener, router_until(state, stop.clone()), stop).await;
}
