//! The connection to PostgreSQL: URL, limits, and waiting while it is down.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use crate::config::database::DatabaseOptions;
use crate::error::CliError;
use crate::migrate::{self, MigrateError, State};
use crate::run::dev::state;

/// Time limit of the first connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An idle connection is pinged before use after this time.
const PING_AFTER: Duration = Duration::from_secs(1);

/// What a process does with the database. Decides the size and the time limits of its pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers requests: a slow statement times out before the client does.
    Api,
    /// Runs jobs: statements may be batches, transactions are short.
    Worker,
    /// Fires ticks.
    Scheduler,
    /// Runs one command.
    Command,
    /// Changes the schema: a statement may take as long as the table is large.
    Migration,
}

impl Role {
    fn application_name(self) -> &'static str {
        match self {
            Self::Api => "bedel-api",
            Self::Worker => "bedel-worker",
            Self::Scheduler => "bedel-scheduler",
            Self::Command => "bedel-command",
            Self::Migration => "bedel-migrate",
        }
    }

    fn connections(self) -> u32 {
        match self {
            Self::Api | Self::Worker => 10,
            Self::Scheduler | Self::Command | Self::Migration => 3,
        }
    }

    fn statement_timeout(self) -> &'static str {
        match self {
            Self::Api => "10s",
            Self::Worker | Self::Scheduler | Self::Command => "60s",
            Self::Migration => "0",
        }
    }

    fn acquire_timeout(self) -> Duration {
        match self {
            Self::Api => Duration::from_secs(3),
            Self::Worker | Self::Scheduler | Self::Command | Self::Migration => Duration::from_secs(10),
        }
    }
}

/// The configured URL, or that of the `bedel dev` on `data_dir`. Never a guess.
///
/// # Errors
/// If there is neither. The text says what to do.
pub fn resolve(options: &DatabaseOptions, data_dir: &Path) -> Result<SecretString, CliError> {
    if let Some(url) = options.url() {
        return Ok(url.clone());
    }
    match state::running(data_dir) {
        Some(state) => Ok(SecretString::from(state.database_url)),
        None => Err(CliError::Usage(format!(
            "no database: DATABASE_URL is not set and no `bedel dev` runs on {}.\nTo run everything on a \
             private PostgreSQL, type: bedel dev\nTo use your own server, type: export \
             DATABASE_URL=postgresql://user:password@host:5432/database",
            data_dir.display()
        ))),
    }
}

/// Connection options with this role's limits.
///
/// # Errors
/// If the URL is invalid. The text does not repeat it: it may hold a password.
pub fn connect_options(url: &SecretString, role: Role) -> Result<PgConnectOptions, CliError> {
    let bad = |reason: &str| {
        CliError::Usage(format!(
            "DATABASE_URL: {reason}. Write postgresql://user:password@host:5432/database and percent-encode \
             special characters of the password."
        ))
    };
    let text = url.expose_secret().trim();
    if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(bad("not a PostgreSQL URL"));
    }
    let options = PgConnectOptions::from_str(text).map_err(|_| bad("the URL is malformed"))?;
    Ok(options.application_name(role.application_name()).options([
        // Below "dead after": a frozen worker must not lock a lecture once its job is rescued.
        ("idle_in_transaction_session_timeout", "5s"),
        ("statement_timeout", role.statement_timeout()),
        // PostgreSQL notices each search for stop words alone.
        ("client_min_messages", "warning"),
    ]))
}

/// A pool that connects on first use.
///
/// # Errors
/// If the URL is invalid.
pub fn pool(url: &SecretString, role: Role) -> Result<PgPool, CliError> {
    let options =
        PgPoolOptions::new().max_connections(role.connections()).acquire_timeout(role.acquire_timeout());
    let options = match role {
        // A ping before every use would double the round trips of an answer.
        Role::Api => options.test_before_acquire(false).before_acquire(|connection, since| {
            Box::pin(async move {
                if since.idle_for >= PING_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        }),
        _ => options,
    };
    Ok(options.connect_lazy_with(connect_options(url, role)?))
}

/// Checks that the database answers, and reports the cause at once. A pool would retry and then only report a
/// timeout.
///
/// # Errors
/// If it does not answer. The text says why and what to do.
pub async fn answers(pool: &PgPool) -> Result<(), CliError> {
    let options = pool.connect_options();
    let connecting = async { PgConnection::connect_with(&options).await?.close().await };
    match tokio::time::timeout(ANSWER_TIMEOUT, connecting).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if is_configuration(&error) => Err(CliError::Usage(format!("DATABASE_URL: {error}"))),
        Ok(Err(error)) => Err(CliError::Failed(format!(
            "the database does not answer: {error}. Start it, or correct DATABASE_URL"
        ))),
        Err(_) => Err(CliError::Failed(format!(
            "the database does not answer in {} s. Start it, or correct DATABASE_URL",
            ANSWER_TIMEOUT.as_secs()
        ))),
    }
}

/// Like [`answers`], and checks the schema.
///
/// # Errors
/// If it does not answer or its schema is not up to date. The text says what to do.
pub async fn ready(pool: &PgPool) -> Result<(), CliError> {
    answers(pool).await?;
    match missing(pool).await {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(CliError::Failed(format!("the database cannot be used yet: {what}"))),
        Err(error) => Err(error.into()),
    }
}

/// A pool for a command, on a database with an up-to-date schema.
///
/// # Errors
/// If no database is known, it does not answer or its schema is not up to date. The text says what to do.
pub async fn for_command(options: &DatabaseOptions, data_dir: &Path) -> Result<PgPool, CliError> {
    let pool = pool(&resolve(options, data_dir)?, Role::Command)?;
    ready(&pool).await?;
    Ok(pool)
}

/// Waits until the database answers and has its schema, and logs what is missing. `false` if `stop` fires
/// first.
///
/// # Errors
/// If waiting cannot help: wrong password, role or database name.
pub async fn wait_until_ready(pool: &PgPool, stop: &CancellationToken) -> Result<bool, CliError> {
    let mut backoff = Backoff::default();
    loop {
        let trouble = match missing(pool).await {
            Ok(None) => return Ok(true),
            Ok(Some(what)) => what,
            Err(error) if is_configuration(&error) => {
                return Err(CliError::Usage(format!("DATABASE_URL: {error}")));
            }
            Err(error) => format!("the database does not answer: {error}"),
        };
        tracing::warn!(next_look_seconds = backoff.next_pause().as_secs_f64(), "waiting: {trouble}");
        if !backoff.pause(stop).await {
            return Ok(false);
        }
    }
}

/// What the database lacks, with the command to type.
///
/// # Errors
/// If the database fails or is down.
pub async fn missing(pool: &PgPool) -> Result<Option<String>, sqlx::Error> {
    // Not through the pool, which would only report a timeout.
    PgConnection::connect_with(&pool.connect_options()).await?.close().await?;
    let rows = migrate::status(pool).await.map_err(|error| match error {
        MigrateError::Database(error) => error,
        other => sqlx::Error::Configuration(Box::new(other)),
    })?;
    let pending = rows.iter().any(|row| matches!(row.state, State::Pending | State::Incomplete));
    Ok(pending.then(|| "its schema is not up to date; type: bedel migrate".to_owned()))
}

/// True if the server answers and the URL is wrong: bad password or role, no such database.
fn is_configuration(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["28000", "28P01", "3D000"].contains(&code.as_ref()))
        }
        sqlx::Error::Configuration(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Role, connect_options};
    use secrecy::SecretString;

    #[test]
    fn a_bad_url_is_refused_without_being_repeated() {
        for url in ["mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:notaport/d", "hunter2"] {
            let error = connect_options(&SecretString::from(url), Role::Api).unwrap_err().to_string();
            assert!(error.contains("DATABASE_URL") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_frozen_transaction_ends_before_its_worker_counts_as_dead() {
        let options =
            connect_options(&SecretString::from("postgresql:///bedel?host=/run/x"), Role::Worker).unwrap();
        assert!(options.get_options().unwrap().contains("idle_in_transaction_session_timeout=5s"));
        assert_eq!(options.get_application_name(), Some("bedel-worker"));
    }
}
