//! `bedel queues`.

use bedel_jobs::audit::Actor;
use bedel_jobs::operations;
use bedel_jobs::registry;
use bedel_jobs::registry::known_queues;
use bedel_queue::{BreakerView, COUNT_LIMIT, QueueView, breakers};
use bedel_storage::Storage;
use clap::{Args, Subcommand};
use sqlx::{PgConnection, PgPool};

use super::output::OutputOptions;
use super::table::{self, Column};
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::run::database;
use crate::run::environment;

/// List the queues, or pause and resume one. Every job kind belongs to a queue.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct QueuesCommand {
    #[command(subcommand)]
    action: Option<Box<Action>>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

const QUEUE_COLUMNS: [Column; 5] = [
    Column::whole("QUEUE"),
    Column::state("PAUSED"),
    Column::whole("AVAILABLE"),
    Column::whole("RUNNING"),
    Column::whole("OLDEST RUN AT").optional(),
];

const HOST_COLUMNS: [Column; 6] = [
    Column::whole("WAITING FOR"),
    Column::whole("DOWN SINCE").optional(),
    Column::whole("NEXT PROBE"),
    Column::whole("PROBES").optional(),
    Column::whole("CLASS"),
    Column::text("LAST ERROR"),
];

#[derive(Debug, Subcommand)]
enum Action {
    /// Stop workers from claiming jobs of a queue; running jobs continue, new jobs wait
    Pause(NamedQueue),
    /// Let workers claim jobs of a queue again
    Resume(NamedQueue),
}

/// The queue to change.
#[derive(Debug, Args)]
struct NamedQueue {
    /// The queue's name
    #[arg(value_name = "QUEUE")]
    name: String,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

impl QueuesCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If there is no such queue, or the database fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        match self.action.as_deref() {
            None => self.list(common).await,
            Some(Action::Pause(queue)) => queue.pause(common).await,
            Some(Action::Resume(queue)) => queue.resume(common).await,
        }
    }

    async fn list(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        let views = list_known(&mut connection, &pool, &self.jobs).await?;
        let breakers = breakers(&mut connection).await?;
        self.output.print(&views, || {
            let rows: Vec<_> = views.iter().map(line).collect();
            let mut text = table::render(&QUEUE_COLUMNS, &rows);
            let rows: Vec<_> = breakers.iter().filter_map(down_host).collect();
            if !rows.is_empty() {
                text.push_str(&format!("\n{}", table::render(&HOST_COLUMNS, &rows)));
            }
            text
        })
    }
}

impl NamedQueue {
    async fn pause(&self, common: &CommonOptions) -> Result<(), CliError> {
        let (pool, mut connection) = self.open(common).await?;
        pause(&pool, &self.name).await?;
        let queue = self.find(&mut connection, &pool).await?;
        self.output.print(&queue, || format!("{} is paused\n", table::clean(&self.name)))
    }

    async fn resume(&self, common: &CommonOptions) -> Result<(), CliError> {
        let (pool, mut connection) = self.open(common).await?;
        resume(&pool, &self.name).await?;
        let queue = self.find(&mut connection, &pool).await?;
        self.output.print(&queue, || format!("{} is resumed\n", table::clean(&self.name)))
    }

    /// A connection, if the queue exists: pausing a misspelt name would appear to work.
    async fn open(
        &self,
        common: &CommonOptions,
    ) -> Result<(PgPool, sqlx::pool::PoolConnection<sqlx::Postgres>), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        self.find(&mut connection, &pool).await?;
        Ok((pool, connection))
    }

    async fn find(&self, connection: &mut PgConnection, pool: &PgPool) -> Result<QueueView, CliError> {
        let mut views = list_known(connection, pool, &self.jobs).await?;
        if let Some(place) = views.iter().position(|view| view.name == self.name) {
            return Ok(views.swap_remove(place));
        }
        let names: Vec<_> = views.into_iter().map(|view| view.name).collect();
        Err(CliError::Usage(format!(
            "there is no queue `{}`; the queues are: {}",
            self.name,
            names.join(", ")
        )))
    }
}

/// Pauses a queue, and records it.
///
/// # Errors
/// If the database fails.
pub(super) async fn pause(pool: &PgPool, name: &str) -> Result<(), CliError> {
    let mut tx = pool.begin().await?;
    operations::pause_queue(&mut tx, name, Actor::CLI).await?;
    Ok(tx.commit().await?)
}

/// Resumes a queue, and records it.
///
/// # Errors
/// If the database fails.
pub(super) async fn resume(pool: &PgPool, name: &str) -> Result<(), CliError> {
    let mut tx = pool.begin().await?;
    operations::resume_queue(&mut tx, name, Actor::CLI).await?;
    Ok(tx.commit().await?)
}

/// The queues in the database and of the known kinds, by name.
async fn list_known(
    connection: &mut PgConnection,
    pool: &PgPool,
    jobs: &JobOptions,
) -> Result<Vec<QueueView>, CliError> {
    let settings = jobs.settings().map_err(CliError::Usage)?;
    let registry = registry(environment::without_tools(pool.clone(), Storage::unusable(), settings)?);
    Ok(known_queues(connection, &registry).await?)
}

fn line(view: &QueueView) -> Vec<String> {
    let paused = view.paused_at.map_or_else(|| "no".to_owned(), |at| format!("since {}", table::time(at)));
    let oldest = view.oldest_run_at.map_or_else(|| "-".to_owned(), table::time);
    vec![view.name.clone(), paused, count(view.available), count(view.running), oldest]
}

/// A host that is down. None while failures are only counted.
fn down_host(view: &BreakerView) -> Option<Vec<String>> {
    let (since, probe) = (view.opened_at?, view.probe_at?);
    Some(vec![
        view.group_key.clone(),
        table::time(since),
        table::time(probe),
        view.probes.to_string(),
        view.class.clone(),
        view.message.clone(),
    ])
}

fn count(jobs: i64) -> String {
    if jobs >= COUNT_LIMIT { format!("{COUNT_LIMIT} or more") } else { jobs.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_shows_its_limit() {
        assert_eq!(count(9_999), "9999");
        assert_eq!(count(10_000), "10000 or more");
    }

    #[test]
    fn a_group_is_shown_once_it_is_down() {
        let at = "2026-11-26T10:00:00Z".parse().unwrap();
        let counting = BreakerView {
            group_key: "panopto.example".to_owned(),
            opened_at: None,
            failures: 2,
            failed_at: at,
            probe_at: None,
            probes: 0,
            class: "network".to_owned(),
            message: "nobody answers".to_owned(),
        };
        assert_eq!(down_host(&counting), None);
        let down = BreakerView { opened_at: Some(at), probe_at: Some(at), ..counting };
        let line = down_host(&down).unwrap().join(" | ");
        assert_eq!(
            line,
            "panopto.example | 2026-11-26 10:00:00Z | 2026-11-26 10:00:00Z | 0 | network | nobody answers"
        );
    }
}
