//! The benchmark's view of one contender's database.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::contender::{Contender, Done};
use crate::error::{BenchError, Result};

/// Application name of a session that only reads while the contender works.
pub const BYSTANDER: &str = "bystander";

/// Longest wait for sessions of an ended process to close.
const LEAVES_WITHIN: Duration = Duration::from_secs(20);

/// A fresh database with the contender's schema, and the benchmark's connection to it.
#[derive(Debug)]
pub struct Database {
    /// For the contender.
    pub url: String,
    connection: PgConnection,
}

/// Writes so far.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Written {
    /// Row versions made or ended in the contender's schema.
    pub versions: i64,
    /// HOT updates among them.
    pub hot: i64,
}

impl Database {
    /// Connects.
    pub async fn connect(url: String) -> Result<Self> {
        let connection = PgConnection::connect(&url).await?;
        Ok(Self { url, connection })
    }

    /// A mark before all jobs enqueued from now on.
    pub async fn mark(&mut self, contender: &dyn Contender) -> Result<String> {
        Ok(sqlx::query_scalar(contender.tables().mark).fetch_one(&mut self.connection).await?)
    }

    /// Waiting jobs after `mark`.
    pub async fn waiting(&mut self, contender: &dyn Contender, mark: &str) -> Result<i64> {
        self.count(contender.tables().waiting, mark).await
    }

    /// How many of the `jobs` after `mark` are finished.
    pub async fn finished(&mut self, contender: &dyn Contender, mark: &str, jobs: i64) -> Result<i64> {
        match contender.tables().done {
            Done::Kept(finished) => self.count(finished, mark).await,
            Done::Deleted(left) => Ok(jobs - self.count(left, mark).await?),
        }
    }

    async fn count(&mut self, query: &'static str, mark: &str) -> Result<i64> {
        Ok(sqlx::query_scalar(query).bind(mark).fetch_one(&mut self.connection).await?)
    }

    /// Inserts finished jobs by `statement`.
    pub async fn fill(&mut self, statement: &'static str, jobs: u64) -> Result<()> {
        let jobs = i64::try_from(jobs).expect("a number of jobs fits");
        sqlx::query(statement).bind(jobs).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Vacuums, as autovacuum would later.
    pub async fn vacuum(&mut self) -> Result<()> {
        sqlx::raw_sql("-- database::vacuum\nVACUUM (ANALYZE)").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Checkpoints now, so that none falls into the next measurement.
    pub async fn checkpoint(&mut self) -> Result<()> {
        sqlx::raw_sql("-- database::checkpoint\nCHECKPOINT").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Position in the write-ahead log, in bytes.
    pub async fn wal(&mut self) -> Result<i64> {
        let position = sqlx::query_scalar(
            "-- database::wal\nSELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
        );
        Ok(position.fetch_one(&mut self.connection).await?)
    }

    /// Writes of ended sessions to the contender's schema.
    pub async fn written(&mut self, contender: &dyn Contender) -> Result<Written> {
        self.alone(contender).await?;
        let written = sqlx::query_as(
            "-- database::written
             SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint AS versions,
                    coalesce(sum(n_tup_hot_upd), 0)::bigint AS hot
               FROM pg_stat_all_tables WHERE schemaname = $1",
        );
        Ok(written.bind(contender.tables().schema).fetch_one(&mut self.connection).await?)
    }

    /// Waits until all other sessions are closed: a session reports its writes to the statistics when it
    /// ends.
    async fn alone(&mut self, contender: &dyn Contender) -> Result<()> {
        let since = Instant::now();
        loop {
            let others: i64 = sqlx::query_scalar(
                "-- database::alone
                 SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
                    AND application_name <> $1",
            )
            .bind(BYSTANDER)
            .fetch_one(&mut self.connection)
            .await?;
            if others == 0 {
                return Ok(());
            }
            if since.elapsed() > LEAVES_WITHIN {
                return Err(BenchError::Late {
                    contender: contender.name(),
                    what: format!("the end of {others} sessions"),
                    seconds: LEAVES_WITHIN.as_secs(),
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Disconnects.
    pub async fn close(self) -> Result<()> {
        Ok(self.connection.close().await?)
    }
}
