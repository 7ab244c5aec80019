//! `bedel courses`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::output::OutputOptions;
use super::remote::RemoteOptions;
use super::table;
use crate::config::common::CommonOptions;
use crate::error::CliError;

/// `bedel courses …`
#[derive(Debug, Subcommand)]
pub enum CoursesCommand {
    /// Synchronise the course catalogue now, over the HTTP API; admins only
    Sync(SyncCourses),
}

/// Options of a synchronisation.
#[derive(Debug, Args)]
pub struct SyncCourses {
    /// Count only, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Term to read, such as 'Fall 2026'; repeatable [default: the configured terms]
    #[arg(long = "term", value_name = "TERM")]
    terms: Vec<String>,
    /// Seconds to wait for the job to end
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=60))]
    wait: u64,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

impl CoursesCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If there is no API or it refuses; its detail is printed.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let Self::Sync(command) = self;
        command.run(common).await
    }
}

impl SyncCourses {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.remote.open(common, true)?;
        let body = json!({ "dry_run": self.dry_run, "terms": self.terms });
        let path = format!("/api/admin/courses/sync?wait={}", self.wait);
        let answer = remote.ask(Method::POST, &path, Some(&body)).await?;
        self.output.print(&answer, || self.summary(&answer))
    }

    fn summary(&self, answer: &Value) -> String {
        let Some(total) = answer["total"].as_u64() else {
            let job = table::clean(answer["job_id"].as_str().unwrap_or("unknown"));
            return format!("it continues as job {job}; type: bedel jobs show {job}\n");
        };
        let would = if self.dry_run { "would be " } else { "" };
        let count = |name: &str| answer[name].as_u64().unwrap_or_default();
        let mut text = format!(
            "{total} courses in the catalogue: {} {would}created, {} {would}updated, {} unchanged, {} \
             {would}deleted, {} {would}retained\n",
            count("created"),
            count("updated"),
            count("unchanged"),
            count("deleted"),
            count("retained")
        );
        if answer["deletion_skipped"] == Value::Bool(true) {
            text.push_str(&format!("nothing {would}deleted: too many courses would go\n"));
        }
        text
    }
}
