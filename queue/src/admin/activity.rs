//! Counts per minute of the last two days, for charts. A scheduler adds each minute's rows once it is over.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

/// How long the counts of a minute are kept.
pub const ACTIVITY_KEPT: Duration = Duration::from_secs(2 * 24 * 3600);

/// Minutes deleted by one statement, in rows.
const PRUNED: i64 = 1000;

/// Jobs that ended and attempts that failed in one step of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct ActivityRow {
    /// Start of the step.
    pub at: DateTime<Utc>,
    /// The jobs' kind.
    pub kind: String,
    /// Their queue.
    pub queue: String,
    /// Completed jobs.
    pub completed: i64,
    /// Discarded jobs.
    pub discarded: i64,
    /// Cancelled jobs.
    pub cancelled: i64,
    /// Failed attempts, including those of discarded jobs.
    pub failed: i64,
}

/// What happened in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// Start of the first step.
    pub from: DateTime<Utc>,
    /// End of the counted time, one to three minutes ago. Longer ago if no scheduler runs.
    pub until: DateTime<Utc>,
    /// Length of a step in seconds.
    pub step_seconds: u64,
    /// By time, kind and queue. Steps without an event have no row.
    pub rows: Vec<ActivityRow>,
}

/// Jobs that ended and attempts that failed in the last `span` before the counted time ends, in steps of `step`,
/// which is rounded down to minutes. At most [`ACTIVITY_KEPT`] is kept. Reads one row per minute, kind and queue.
///
/// # Errors
/// If the database is away.
pub async fn activity(
    connection: &mut PgConnection,
    span: Duration,
    step: Duration,
) -> Result<Activity, sqlx::Error> {
    let step = Duration::from_secs((step.as_secs() / 60).clamp(1, 24 * 60) * 60);
    // Steps start at multiples of their length since midnight, so that a chart's bars do not move.
    let (from, until): (DateTime<Utc>, DateTime<Utc>) = sqlx::query_as(
        "-- activity::bounds
         SELECT date_bin(make_interval(secs => $2), until - make_interval(secs => $1), date_trunc('day', until, 'UTC')),
                until
           FROM queue.counted_minutes",
    )
    .bind(span.min(ACTIVITY_KEPT).as_secs_f64())
    .bind(step.as_secs_f64())
    .fetch_one(&mut *connection)
    .await?;
    let rows = sqlx::query_as(
        "-- activity::rows
         SELECT date_bin(make_interval(secs => $2), minute, $1) AS at, kind::text, queue::text,
                sum(completed)::bigint AS completed, sum(discarded)::bigint AS discarded,
                sum(cancelled)::bigint AS cancelled, sum(failed)::bigint AS failed
           FROM queue.minutes
          WHERE minute >= $1
          GROUP BY 1, minutes.kind, minutes.queue
          ORDER BY 1, minutes.kind, minutes.queue",
    )
    .bind(from)
    .bind(step.as_secs_f64())
    .fetch_all(connection)
    .await?;
    Ok(Activity { from, until, step_seconds: step.as_secs(), rows })
}

/// Counts the next minute that is over, if it was not counted yet, or the next `part` of it. Counting begins half a
/// minute after its end: the transactions that ended its jobs are committed then. After an outage the calls catch up
/// on the last two days, one minute each. Returns the minute.
///
/// A job is counted by the state that it has then, so one that is retried or deleted before is missing.
///
/// One statement moves the mark by compare-and-set and writes the minute's rows, so any number of processes may
/// call it.
pub(crate) async fn count_minute(
    pool: &PgPool,
    part: Duration,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let minute: Option<DateTime<Utc>> = sqlx::query_scalar(include_str!("../../sql/count_minute.sql"))
        .bind(part.as_secs_f64())
        .fetch_optional(pool)
        .await?;
    if minute.is_some() {
        sqlx::query(
            "-- activity::prune
             DELETE FROM queue.minutes
              WHERE (minute, kind, queue) IN (SELECT minute, kind, queue FROM queue.minutes
                                               WHERE minute < now() - make_interval(secs => $1)
                                               ORDER BY minute LIMIT $2)",
        )
        .bind(ACTIVITY_KEPT.as_secs_f64())
        .bind(PRUNED)
        .execute(pool)
        .await?;
    }
    Ok(minute)
}
