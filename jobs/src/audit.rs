//! The record of operators' actions. Each row is written in the transaction of the action.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Days that a row is kept.
pub const KEPT_DAYS: i32 = 400;

/// Old rows that one new row deletes. More than one, so that the table does not grow after a busy time.
const PRUNED: i64 = 20;

/// Where an action came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The HTTP API.
    Api,
    /// The command line.
    Cli,
    /// The pages.
    Ui,
}

impl Source {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Cli => "cli",
            Self::Ui => "ui",
        }
    }
}

/// Who acts, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// None on the command line, which has no users.
    pub user_id: Option<Uuid>,
    /// Where the action came from.
    pub source: Source,
}

impl Actor {
    /// The command line.
    pub const CLI: Self = Self { user_id: None, source: Source::Cli };

    /// A user of the API.
    #[must_use]
    pub const fn api(user_id: Uuid) -> Self {
        Self { user_id: Some(user_id), source: Source::Api }
    }

    /// A user of the pages.
    #[must_use]
    pub const fn ui(user_id: Uuid) -> Self {
        Self { user_id: Some(user_id), source: Source::Ui }
    }
}

/// An action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the word in the table")]
pub enum Action {
    RetryJob,
    CancelJob,
    EnqueueJob,
    PauseQueue,
    ResumeQueue,
    RunSchedule,
    StartBulk,
    StopBulk,
    EndBulk,
    CreateWebhook,
    ChangeWebhook,
    RotateWebhook,
    RemoveWebhook,
    TestWebhook,
    RedeliverWebhook,
}

impl Action {
    /// The word in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetryJob => "retry-job",
            Self::CancelJob => "cancel-job",
            Self::EnqueueJob => "enqueue-job",
            Self::PauseQueue => "pause-queue",
            Self::ResumeQueue => "resume-queue",
            Self::RunSchedule => "run-schedule",
            Self::StartBulk => "start-bulk",
            Self::StopBulk => "stop-bulk",
            Self::EndBulk => "end-bulk",
            Self::CreateWebhook => "create-webhook",
            Self::ChangeWebhook => "change-webhook",
            Self::RotateWebhook => "rotate-webhook",
            Self::RemoveWebhook => "remove-webhook",
            Self::TestWebhook => "test-webhook",
            Self::RedeliverWebhook => "redeliver-webhook",
        }
    }
}

/// One row.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct AuditEntry {
    /// Grows with time; the cursor of a list.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who; None for the command line.
    pub user_id: Option<Uuid>,
    /// `api`, `cli` or `ui`.
    pub source: String,
    /// A stable word, such as `retry-job`.
    pub action: String,
    /// The id or name of what was acted on.
    pub target: Option<String>,
    /// Number of jobs changed.
    pub count: i64,
    /// More about the action; holds no secret.
    pub detail: Value,
}

/// Records an action on `target` that changed `count` jobs. Deletes a few rows older than [`KEPT_DAYS`].
/// `detail` must hold no secret.
///
/// # Errors
/// If the database is away.
pub async fn record(
    tx: &mut PgConnection,
    actor: Actor,
    action: Action,
    target: Option<&str>,
    count: i64,
    detail: Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- audit::record
         INSERT INTO audit_log (user_id, source, action, target, count, detail) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(actor.user_id)
    .bind(actor.source.name())
    .bind(action.name())
    .bind(target)
    .bind(count)
    .bind(detail)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "-- audit::prune
         DELETE FROM audit_log
          WHERE id = ANY (ARRAY(SELECT id FROM audit_log WHERE at < now() - make_interval(days => $1)
                                 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(KEPT_DAYS)
    .bind(PRUNED)
    .execute(tx)
    .await?;
    Ok(())
}

/// The newest `limit` rows, or those before the row `before`.
///
/// # Errors
/// If the database is away.
pub async fn list(
    connection: &mut PgConnection,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<AuditEntry>, sqlx::Error> {
    sqlx::query_as(
        "-- audit::list
         SELECT id, at, user_id, source, action, target, count, detail
           FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(connection)
    .await
}
