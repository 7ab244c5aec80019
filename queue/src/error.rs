//! Errors of an attempt. Each carries its own decision: retry, wait or give up.

use std::borrow::Cow;
use std::time::Duration;

use crate::stale::{is_changed_result, note_stale};

/// Why an attempt failed, and what happens next.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    pub(crate) class: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) decision: Decision,
    pub(crate) group_health: GroupHealth,
}

/// What an attempt learnt about the upstream behind its `group_key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupHealth {
    Unknown,
    Down,
    Up,
}

/// What happens after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Retry after the kind's backoff, or after the given delay. Spends one of `max_attempts`.
    Retry(Option<Duration>),
    /// Not an error: look again after the delay. Spends nothing, ends at `give_up_at`.
    Wait(Duration),
    /// A retry cannot help.
    Fatal,
    /// The database was away; the queue repeats the step.
    Database,
    /// As `Database`, but the statement may have itself to blame: a few retries only, and as the handler's error it
    /// spends one of `max_attempts`.
    Busy,
    /// The attempt no longer holds its lease; nothing may be written.
    LostLease,
}

impl JobError {
    fn new(class: impl Into<Cow<'static, str>>, message: impl Into<String>, decision: Decision) -> Self {
        Self { class: class.into(), message: message.into(), decision, group_health: GroupHealth::Unknown }
    }

    /// Retry after the kind's backoff. `class` is a stable word; `message` is for people and holds no secret.
    pub fn retry(class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(class, message, Decision::Retry(None))
    }

    /// Retry after `delay`, for errors that name one.
    pub fn retry_after(
        class: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        delay: Duration,
    ) -> Self {
        Self::new(class, message, Decision::Retry(Some(delay)))
    }

    /// Look again after `delay`. Spends no budget; ends at the job's `give_up_at`.
    pub fn wait(class: impl Into<Cow<'static, str>>, message: impl Into<String>, delay: Duration) -> Self {
        Self::new(class, message, Decision::Wait(delay))
    }

    /// Give up: a retry cannot help.
    pub fn fatal(class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(class, message, Decision::Fatal)
    }

    /// The upstream behind the job's `group_key` is down. Counts towards the group's breaker if the kind has
    /// one ([`Policy::breaker`](crate::Policy::breaker)). While the breaker is open, the attempt spends
    /// nothing and its job waits for the group. A delay that the error names is kept, and [`JobError::fatal`]
    /// stays fatal.
    #[must_use]
    pub fn blames_group(mut self) -> Self {
        self.group_health = GroupHealth::Down;
        self
    }

    /// The upstream behind the job's `group_key` answered, but not with the wanted result. Closes the group's
    /// breaker, as a success does. Errors that call neither method leave the breaker alone.
    #[must_use]
    pub fn clears_group(mut self) -> Self {
        self.group_health = GroupHealth::Up;
        self
    }

    /// A step that timed out: a few retries only.
    pub(crate) fn busy(class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(class, message, Decision::Busy)
    }

    /// The lease is gone: the job belongs to another attempt, or to none.
    #[must_use]
    pub fn lost_lease() -> Self {
        Self::new("lost-lease", "this attempt no longer holds its lease", Decision::LostLease)
    }

    pub(crate) fn is_lost_lease(&self) -> bool {
        self.decision == Decision::LostLease
    }

    /// The stable word for this kind of error.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// True if a retry cannot help.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.decision == Decision::Fatal
    }

    /// The delay of an error that asks to wait.
    #[must_use]
    pub fn wait_delay(&self) -> Option<Duration> {
        match self.decision {
            Decision::Wait(delay) => Some(delay),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for JobError {
    fn from(error: sqlx::Error) -> Self {
        note_stale(&error);
        if is_passing(&error) {
            // A pool that keeps stale connections could fail for ever.
            let limited = is_self_inflicted(&error) || is_changed_result(&error);
            let decision = if limited { Decision::Busy } else { Decision::Database };
            Self::new("database", error.to_string(), decision)
        } else {
            // The server's message can quote values. The code is enough for people; the log has the message.
            tracing::error!(%error, "a statement was refused");
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
            Self::retry("database", format!("the database refused a statement ({code})"))
        }
    }
}

/// True if the server answered with this SQLSTATE.
pub(crate) fn has_sqlstate(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some(code))
}

/// True for transient errors that the statement may have caused itself: it waited too long for a row, ran too long, left
/// its transaction idle, conflicts with others, needs more than its share of memory or disk, or is none that the protocol
/// can carry. Such a statement may never succeed, so retries are limited.
pub(crate) fn is_self_inflicted(error: &sqlx::Error) -> bool {
    if matches!(error, sqlx::Error::Protocol(_)) {
        return true;
    }
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| {
        ["55P03", "57014", "25P03", "40P01", "40001", "53200", "53400"].contains(&code.as_ref())
    })
}

/// True for transient errors: the server restarts, fails over, refuses for now, two transactions conflict, or a
/// migration changed a prepared statement's columns.
/// PostgreSQL manual, appendix A (error codes).
#[must_use]
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(_) if is_changed_result(error) => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            // 08 connection, 28 and 3D changing credentials or database, 25006 read-only (the pool reached a
            // standby), 25P idle timeouts, 40 rollback, 53 resources, 55P03 lock, 57 operator intervention,
            // 58 system.
            ["08", "25006", "25P", "28", "3D", "40", "53", "55P03", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
