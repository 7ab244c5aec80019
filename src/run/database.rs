//! The connection to PostgreSQL: URL, limits, and waiting while it is down.

use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::{database_url, grants};
use crate::config::database::DatabaseOptions;
use crate::error::CliError;
use crate::migrate::{self, MigrateError, State};
use crate::run::dev::state;

/// Time limit of the first connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a process that waited for the schema waits for its grants: the owner gives them after a migration.
const GRANTS_PATIENCE: Duration = Duration::from_secs(60);

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
    let options = database_url::parse(url.expose_secret().trim())
        .map_err(|reason| CliError::Usage(format!("DATABASE_URL: {reason}.")))?;
    // No start-up parameter that a pooler could refuse.
    Ok(options.application_name(role.application_name()).extra_float_digits(None))
}

/// Sets this role's limits. By `SET`: a pooler such as PgBouncer refuses start-up options.
async fn set_limits(connection: &mut PgConnection, role: Role) -> Result<(), sqlx::Error> {
    // Idle: below "dead after", since a frozen worker must not lock a lecture once its job is rescued.
    // Messages: PostgreSQL notices each search for stop words alone.
    let statement = format!(
        "-- database::set_limits
         SET idle_in_transaction_session_timeout = '5s';
         SET statement_timeout = '{}';
         SET client_min_messages = 'warning'",
        role.statement_timeout()
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await?;
    Ok(())
}

/// A pool that connects on first use.
///
/// # Errors
/// If the URL is invalid.
pub fn pool(url: &SecretString, role: Role) -> Result<PgPool, CliError> {
    let options = PgPoolOptions::new()
        .max_connections(role.connections())
        .acquire_timeout(role.acquire_timeout())
        .after_connect(move |connection, _| Box::pin(set_limits(connection, role)));
    let options = match role {
        // A ping before every use would double the round trips of an answer.
        Role::Api => options.test_before_acquire(false).before_acquire(|connection, since| {
            Box::pin(async move {
                if !bedel_queue::is_fresh(&since) {
                    return Ok(false);
                }
                if since.idle_for >= PING_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        }),
        _ => bedel_queue::replace_stale(options),
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
        Ok(Err(error)) if is_configuration(&error) => Err(wrong(&error)),
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
/// If waiting cannot help: wrong password, role or database name, missing grants.
pub async fn wait_until_ready(pool: &PgPool, stop: &CancellationToken) -> Result<bool, CliError> {
    let mut backoff = Backoff::default();
    // While the owner migrates, grants are expected to follow.
    let mut grants_due: Option<Instant> = None;
    loop {
        let trouble = match missing(pool).await {
            Ok(None) => match check_grants(pool).await {
                Ok(()) => return Ok(true),
                Err(lack) => lack.trouble(grants_due)?,
            },
            Ok(Some(what)) => {
                grants_due = Some(Instant::now() + GRANTS_PATIENCE);
                what
            }
            Err(error) if is_denied(&error) => match check_grants(pool).await {
                Ok(()) => error.to_string(),
                Err(lack) => lack.trouble(grants_due)?,
            },
            Err(error) if is_configuration(&error) => return Err(wrong(&error)),
            Err(error) => format!("the database does not answer: {error}"),
        };
        tracing::warn!(next_look_seconds = backoff.next_pause().as_secs_f64(), "waiting: {trouble}");
        if !backoff.pause(stop).await {
            return Ok(false);
        }
    }
}

/// Why a process may not use its tables.
enum Lack {
    /// Grants, as the statements to type.
    Grants(Vec<String>),
    /// They could not be read.
    Unread(sqlx::Error),
}

impl Lack {
    /// What to wait for.
    ///
    /// # Errors
    /// If grants are missing and not expected to follow.
    fn trouble(self, grants_due: Option<Instant>) -> Result<String, CliError> {
        match self {
            Self::Unread(error) => Ok(format!("the database does not answer: {error}")),
            Self::Grants(missing) => {
                let statements = missing.join(" ");
                if grants_due.is_some_and(|due| Instant::now() < due) {
                    return Ok(format!(
                        "this process may not use its tables yet. As their owner type: {statements}"
                    ));
                }
                Err(CliError::Usage(format!(
                    "this process may not use its tables, so it ends. As their owner type: {statements}"
                )))
            }
        }
    }
}

/// # Errors
/// If this role lacks grants, or they cannot be read.
async fn check_grants(pool: &PgPool) -> Result<(), Lack> {
    let read = async { grants::missing(&mut *pool.acquire().await?).await };
    match read.await.map_err(Lack::Unread)? {
        missing if missing.is_empty() => Ok(()),
        missing => Err(Lack::Grants(missing)),
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

/// True if the server answers and the URL is wrong: bad password or role, no such database, a refused start-up
/// option.
fn is_configuration(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(found) => {
            is_refused_option(error)
                || found.code().is_some_and(|code| ["28000", "28P01", "3D000"].contains(&code.as_ref()))
        }
        sqlx::Error::Configuration(_) => true,
        _ => false,
    }
}

/// A missing grant.
fn is_denied(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("42501"))
}

/// PgBouncer's answer to `options`, and to other parameters that it does not track.
fn is_refused_option(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.code().as_deref() == Some("08P01") && error.message().contains("startup parameter")
    })
}

/// The error for a URL that cannot work.
fn wrong(error: &sqlx::Error) -> CliError {
    let remedy = if is_refused_option(error) {
        ". Remove `options` from DATABASE_URL and from PGOPTIONS, connect to PostgreSQL itself instead of a pooler, \
         or add the parameter to PgBouncer's ignore_startup_parameters"
    } else {
        ""
    };
    CliError::Usage(format!("DATABASE_URL: {error}{remedy}"))
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
    fn nothing_is_sent_at_start_up_that_a_pooler_refuses() {
        let options =
            connect_options(&SecretString::from("postgresql:///bedel?host=/run/x"), Role::Worker).unwrap();
        assert_eq!((options.get_options(), options.get_application_name()), (None, Some("bedel-worker")));
    }
}
