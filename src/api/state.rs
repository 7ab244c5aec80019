//! What every handler works with.

use std::sync::Arc;

use bedel_jobs::Environment;
use bedel_jobs::registry;
use bedel_queue::{Queue, Registry};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres, Transaction};

use super::auth::Authenticator;
use super::connections;
use super::cors::Origins;
use super::limits::Limits;
use super::problem::Problem;
use super::scrape_cache::ScrapeCache;

/// What every handler works with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState {
    pub(crate) pool: PgPool,
    /// Wakes the workers after a commit.
    pub(crate) queue: Queue,
    /// The API reads its storage and its settings.
    pub(crate) environment: Arc<Environment>,
    /// The kinds of jobs.
    pub(crate) registry: Registry<Arc<Environment>>,
    pub(crate) authenticator: Authenticator,
    /// Sizes and rates.
    pub(crate) limits: Limits,
    /// Web origins that may call the API from a browser.
    pub(crate) origins: Origins,
    /// The latest metrics of the database.
    pub(crate) scrape_cache: ScrapeCache,
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
            scrape_cache: ScrapeCache::default(),
        }
    }

    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Problem> {
        connections::begin(&self.pool).await
    }

    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, Problem> {
        connections::acquire(&self.pool).await
    }
}
