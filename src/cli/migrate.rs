//! `bedel migrate`.

use bedel_jobs::lecture::restart;
use clap::Args;
use sqlx::PgPool;

use super::table;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::migrate::{self, Row, State};
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
            return status(&pool).await;
        }
        if !self.adopt {
            return run(&pool).await;
        }
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        for unproven in migrate::adopt(&pool).await.map_err(failed)? {
            println!("rows break a foreign key, which holds from now on: {unproven}");
        }
        println!("adopted");
        run(&pool).await?;
        let started = restart::restart_stuck(&pool, &settings, self.per_minute).await?;
        println!("{started} lectures start again, {} in a minute", self.per_minute);
        Ok(())
    }
}

async fn status(pool: &PgPool) -> Result<(), CliError> {
    let rows = migrate::status(pool).await.map_err(failed)?;
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let when = row.applied_at.map_or_else(String::new, table::time);
            vec![version(row), row.description.clone(), row.state.to_string(), when]
        })
        .collect();
    print!("{}", table::render(&["VERSION", "DESCRIPTION", "STATE", "APPLIED AT"], &cells));
    match rows.iter().filter(|row| row.state != State::Applied).count() {
        0 => Ok(()),
        count => Err(CliError::Failed(format!(
            "{count} migrations are not as they should be; type: bedel migrate"
        ))),
    }
}

async fn run(pool: &PgPool) -> Result<(), CliError> {
    let report = migrate::run(pool).await.map_err(failed)?;
    for row in &report.applied {
        println!("applied {} {}", version(row), row.description);
    }
    if report.applied.is_empty() {
        println!("the schema is up to date");
    }
    Ok(())
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
