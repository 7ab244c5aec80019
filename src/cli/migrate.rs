//! `bedel migrate`.

use std::time::Duration;

use bedel_jobs::lecture::restart;
use clap::Args;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::output::OutputOptions;
use super::progress::Progress;
use super::table::{self, Column};
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::migrate::{self, MigrateError, Row, State};
use crate::run::database::{self, Role};

/// Bring the database's schema up to date. Safe to run twice, and from several machines at once
#[derive(Debug, Args)]
pub struct MigrateCommand {
    /// Only list the migrations; exit code 1 if one is missing
    #[arg(long)]
    status: bool,
    /// First adopt a database of the backend before Bedel: verify its tables, add what is missing, and restart lectures left
    /// `pending` or `downloading`
    #[arg(long, conflicts_with = "status")]
    adopt: bool,
    /// How many of these lectures to restart per minute
    #[arg(long, default_value_t = 30, requires = "adopt", value_parser = clap::value_parser!(u32).range(1..=6000), value_name = "N")]
    per_minute: u32,
    /// Seconds to wait for other transactions' locks, per migration. Each try takes 0.3 s, and jobs can be enqueued
    /// between tries
    #[arg(long, default_value_t = migrate::LOCK_PATIENCE.as_secs(), conflicts_with = "status", value_name = "SECONDS")]
    lock_patience: u64,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

impl MigrateCommand {
    /// Migrates, or lists the migrations.
    ///
    /// # Errors
    /// If the database is away or a migration fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let url = database::resolve(&self.database, &common.data_dir)?;
        let pool = database::pool(&url, Role::Migration)?;
        database::answers(&pool).await?;
        if self.status {
            return self.print_status(&pool).await;
        }
        if !self.adopt {
            let applied = self.apply(&pool).await?;
            return self.output.print(&json!({ "applied": values(&applied) }), || text(&applied));
        }
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let broken = migrate::adopt(&pool).await.map_err(failed)?;
        let applied = self.apply(&pool).await?;
        let restarted = restart::restart_stuck(&pool, &settings, self.per_minute).await?;
        let result = json!({
            "adopted": true,
            "broken_foreign_keys": broken,
            "applied": values(&applied),
            "lectures_restarted": restarted,
        });
        self.output.print(&result, || {
            let mut lines = String::new();
            for unproven in &broken {
                lines.push_str(&format!("rows break a foreign key, which holds from now on: {unproven}\n"));
            }
            lines.push_str(&format!("adopted\n{}", text(&applied)));
            lines + &format!("{restarted} lectures start again, {} in a minute\n", self.per_minute)
        })
    }

    /// Applies what is pending, with a bar on a terminal.
    async fn apply(&self, pool: &PgPool) -> Result<Vec<Row>, CliError> {
        let progress = Progress::start();
        let report = migrate::run_with(pool, Duration::from_secs(self.lock_patience), &mut |step| {
            progress.count(step.description, step.done, step.total);
        })
        .await;
        match report {
            Ok(report) => Ok(report.applied),
            Err(error @ MigrateError::Grants(_)) => Err(CliError::Usage(error.to_string())),
            Err(error) => Err(failed(error)),
        }
    }

    async fn print_status(&self, pool: &PgPool) -> Result<(), CliError> {
        let rows = migrate::status(pool).await.map_err(failed)?;
        self.output.print(&values(&rows), || {
            let cells: Vec<_> = rows
                .iter()
                .map(|row| {
                    let when = row.applied_at.map_or_else(String::new, table::time);
                    vec![version(row), row.description.clone(), row.state.to_string(), when]
                })
                .collect();
            table::render(&COLUMNS, &cells)
        })?;
        match rows.iter().filter(|row| row.state != State::Applied).count() {
            0 => Ok(()),
            count => Err(CliError::Failed(format!(
                "{count} migrations are not as they should be; type: bedel migrate"
            ))),
        }
    }
}

const COLUMNS: [Column; 4] = [
    Column::whole("VERSION"),
    Column::text("DESCRIPTION"),
    Column::state("STATE"),
    Column::whole("APPLIED AT").optional(),
];

fn text(applied: &[Row]) -> String {
    if applied.is_empty() {
        return "the schema is up to date\n".to_owned();
    }
    applied.iter().map(|row| format!("applied {} {}\n", version(row), row.description)).collect()
}

fn values(rows: &[Row]) -> Vec<Value> {
    let value = |row: &Row| {
        json!({
            "version": version(row),
            "description": row.description,
            "state": row.state.to_string(),
            "applied_at": row.applied_at,
        })
    };
    rows.iter().map(value).collect()
}

/// `012` for one of ours, `queue/0001` for one of the queue's: the names of the files.
fn version(row: &Row) -> String {
    if row.table == migrate::TABLE {
        format!("{:03}", row.version)
    } else {
        format!("queue/{:04}", row.version)
    }
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}
