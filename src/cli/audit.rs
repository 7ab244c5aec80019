//! `bedel audit`.

use bedel_jobs::audit::{self, AuditEntry};
use clap::Args;

use super::output::OutputOptions;
use super::table;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::error::CliError;
use crate::run::database;

/// List what operators did, newest first.
#[derive(Debug, Args)]
pub struct AuditCommand {
    /// Maximum number of rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=1000))]
    limit: i64,
    /// Only rows before the one with this id, the last of an earlier list
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

impl AuditCommand {
    /// Prints the list.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let entries = audit::list(&mut *pool.acquire().await?, self.before, self.limit).await?;
        self.output.print(&entries, || {
            let rows: Vec<_> = entries.iter().map(line).collect();
            table::render(&["ID", "AT", "USER", "SOURCE", "ACTION", "TARGET", "JOBS", "DETAIL"], &rows)
        })
    }
}

fn line(entry: &AuditEntry) -> Vec<String> {
    vec![
        entry.id.to_string(),
        table::time(entry.at),
        entry.user_id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        entry.source.clone(),
        entry.action.clone(),
        entry.target.clone().unwrap_or_else(|| "-".to_owned()),
        entry.count.to_string(),
        entry.detail.to_string(),
    ]
}
