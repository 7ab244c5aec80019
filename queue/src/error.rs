//! Errors of an attempt carry their own decision: retry, wait or give up.

use std::borrow::Cow;
use std::time::Duration;

/// Why an attempt ended without success, and what follows from it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct JobError {
    pub(crate) class: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) decision: Decision,
    pub(crate) verdict: Verdict,
}

/// What an attempt learnt about the thing behind its job's `group_key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unknown,
    Down,
    Up,
}

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try again after the kind's backoff, or after the given delay; spends one of `max_attempts`.
    Retry(Option<Duration>),
    /// Not an error: look again after the delay; spends nothing, ends at `give_up_at`.
    Wait(Duration),
    /// Trying again cannot help.
    Fatal,
    /// The database was away or in the way; the queue repeats what it was doing.
    Database,
    /// As `Database`, but the statement may be in its own way: it is repeated a few times only.
    Busy,
    /// The lease is not ours any more; nothing may be written.
    LostLease,
}

impl JobError {
    fn new(class: impl Into<Cow<'static, str>>, message: impl Into<String>, decision: Decision) -> Self {
        Self { class: class.into(), message: message.into(), decision, verdict: Verdict::Unknown }
    }

    /// Try again after the kind's backoff. `class` is a stable word, `message` is for a person and holds no secret.
    pub fn retry(class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(class, message, Decision::Retry(None))
    }

    /// Try again after `delay`, which the error itself named.
    pub fn retry_after(
        class: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        delay: Duration,
    ) -> Self {
        Self::new(class, message, Decision::Retry(Some(delay)))
    }

    /// Look again after `delay`. Spends no budget; ends when the job's `give_up_at` has passed.
    pub fn wait(class: impl Into<Cow<'static, str>>, message: impl Into<String>, delay: Duration) -> Self {
        Self::new(class, message, Decision::Wait(delay))
    }

    /// Give up: trying again cannot help.
    pub fn fatal(class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(class, message, Decision::Fatal)
    }

    /// The thing behind the job's `group_key` is down: counts towards the group's breaker where the kind has one
    /// ([`Policy::breaker`](crate::Policy::breaker)). While that is open the attempt spends nothing, and its job waits for the
    /// group; a delay that the error names is kept, and [`JobError::fatal`] stays fatal.
    #[must_use]
    pub fn blames_group(mut self) -> Self {
        self.verdict = Verdict::Down;
        self
    }

    /// The thing behind the job's `group_key` answered, though not what was wanted: closes the group's breaker, as a success
    /// does. An error that says neither leaves the breaker as it is.
    #[must_use]
    pub fn clears_group(mut self) -> Self {
        self.verdict = Verdict::Up;
        self
    }

    /// The lease is gone: another attempt, or nobody, owns the job now.
    #[must_use]
    pub fn lost_lease() -> Self {
        Self::new("lost-lease", "this attempt no longer holds its lease", Decision::LostLease)
    }

    pub(crate) fn is_about_the_lease(&self) -> bool {
        self.decision == Decision::LostLease
    }

    /// The stable word for the kind of error.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// True where trying again cannot help.
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
        if is_passing(&error) {
            let busy = is_about_this_statement(&error);
            let decision = if busy { Decision::Busy } else { Decision::Database };
            Self::new("database", error.to_string(), decision)
        } else {
            // The server's own words can quote values; the code says enough to whoever reads the log beside it.
            tracing::error!(%error, "a statement was refused");
            let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
            Self::retry("database", format!("the database refused a statement ({code})"))
        }
    }
}

/// True for passing trouble that the statement may have brought upon itself: it waited too long for a row, took too long, or
/// fell silent in its transaction. Repeated for ever it could stay in its own way for ever.
pub(crate) fn is_about_this_statement(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["55P03", "57014", "25P03", "40P01"].contains(&code.as_ref()))
}

/// True for trouble that passes by itself: the server restarting, failing over, refusing for now, or two
/// transactions in each other's way. PostgreSQL manual, appendix A (error codes).
#[must_use]
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            // 08 connection, 28 and 3D credentials or database being changed, 25006 read-only (the pool met a standby),
            // 25P idle timeouts, 40 rollback, 53 resources, 55P03 lock, 57 operator intervention, 58 system.
            ["08", "25006", "25P", "28", "3D", "40", "53", "55P03", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}
