//! `bedel doctor`: checks everything that Bedel needs.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;
use sqlx::{Connection, PgConnection, PgPool};

use super::output::OutputOptions;
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::config::postgres::PostgresOptions;
use crate::config::speech::SpeechOptions;
use crate::config::storage::StorageOptions;
use crate::error::CliError;
use crate::run::database::{self, Role};

mod finding;
mod host;

use finding::{Finding, Level};

/// Longest wait for a server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Oldest supported PostgreSQL, as `server_version_num`.
const OLDEST_SUPPORTED: i32 = 130_000;

/// Check PostgreSQL, ffmpeg, ffprobe, storage, model and engine. Exit code 1 if a check fails.
#[derive(Debug, Args)]
pub struct DoctorCommand {
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    postgres: PostgresOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    storage: StorageOptions,
    #[command(flatten)]
    jobs: JobOptions,
    #[command(flatten)]
    speech: SpeechOptions,
}

impl DoctorCommand {
    /// Prints the report.
    ///
    /// # Errors
    /// If a check fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let mut findings = Vec::new();
        match self.jobs.settings() {
            Ok(_) => findings.push(Finding::ok("configuration", "all values are valid")),
            Err(problem) => findings.push(Finding::fail("configuration", problem)),
        }
        let pool = self.postgres(common, &mut findings).await;
        findings.push(host::postgres_programs(self.postgres.pg_bin.clone(), pool.is_some()).await);
        findings.extend(host::media_tools());
        let storage_dir = self.storage.storage_dir(&common.data_dir);
        findings.extend(host::storage(&storage_dir, pool.as_ref()).await);
        findings.push(host::scratch(&self.storage.scratch_dir(&common.data_dir)));
        findings.extend(host::speech(&self.speech).await);
        self.output.print(&findings, || findings.iter().map(|finding| finding.line() + "\n").collect())?;
        match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
            0 => Ok(()),
            1 => Err(CliError::Failed("1 check failed; the line above says what to do".to_owned())),
            count => Err(CliError::Failed(format!("{count} checks failed; the lines above say what to do"))),
        }
    }

    /// The database, if it answers.
    async fn postgres(&self, common: &CommonOptions, findings: &mut Vec<Finding>) -> Option<PgPool> {
        const SUBJECT: &str = "PostgreSQL";
        let url: SecretString = match database::resolve(&self.database, &common.data_dir) {
            Ok(url) => url,
            Err(problem) => {
                findings.push(Finding::warn(SUBJECT, problem.to_string()));
                return None;
            }
        };
        let pool = match database::pool(&url, Role::Command) {
            Ok(pool) => pool,
            Err(problem) => {
                findings.push(Finding::fail(SUBJECT, problem.to_string()));
                return None;
            }
        };
        let options = pool.connect_options();
        let connecting = tokio::time::timeout(ANSWER_TIMEOUT, PgConnection::connect_with(&options));
        let mut connection = match connecting.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                findings.push(Finding::fail(SUBJECT, format!("{error}. Start it, or correct DATABASE_URL")));
                return None;
            }
            Err(_) => {
                let text =
                    format!("no answer in {} s. Start it, or correct DATABASE_URL", ANSWER_TIMEOUT.as_secs());
                findings.push(Finding::fail(SUBJECT, text));
                return None;
            }
        };
        findings.push(
            server(&mut connection).await.unwrap_or_else(|error| Finding::fail(SUBJECT, error.to_string())),
        );
        findings.push(
            owner(&mut connection).await.unwrap_or_else(|error| Finding::fail("role", error.to_string())),
        );
        findings.push(match database::missing(&pool).await {
            Ok(None) => Finding::ok("schema", "all migrations are applied"),
            Ok(Some(what)) => Finding::fail("schema", what),
            Err(error) => Finding::fail("schema", error.to_string()),
        });
        Some(pool)
    }
}

async fn server(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let (number, version): (i32, String) = sqlx::query_as(
        "-- doctor::server\nSELECT current_setting('server_version_num')::int4, \
         current_setting('server_version')",
    )
    .fetch_one(connection)
    .await?;
    Ok(if number >= OLDEST_SUPPORTED {
        Finding::ok("PostgreSQL", format!("version {version} answers"))
    } else {
        Finding::fail("PostgreSQL", format!("version {version} is too old: 13 to 18 are supported"))
    })
}

async fn owner(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let (role, database, owns): (String, String, bool) = sqlx::query_as(
        "-- doctor::owner
         SELECT current_user::text, datname::text, pg_has_role(datdba, 'USAGE')
         FROM pg_database WHERE datname = current_database()",
    )
    .fetch_one(connection)
    .await?;
    Ok(if owns {
        Finding::ok("role", format!("{role} owns the database {database}"))
    } else {
        Finding::fail(
            "role",
            format!(
                "{role} does not own the database {database}, so it cannot migrate it. As a superuser, type:\n\
                 psql -c 'ALTER DATABASE \"{database}\" OWNER TO \"{role}\"'"
            ),
        )
    })
}
