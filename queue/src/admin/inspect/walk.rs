//! A walk through all jobs in order of id, a step at a time: for work on every job that matches a filter.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::filter::Filter;

static WALK: LazyLock<String> = LazyLock::new(|| {
    let matches = include_str!("../../../sql/terms/matches.sql").trim_end();
    include_str!("../../../sql/walk.sql").replace("{matches}", matches)
});

/// Jobs that one step reads.
const SCANNED: i64 = 2_000;

/// A job that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its subject.
    pub subject: Option<Uuid>,
    /// True if it has a unique key.
    pub has_unique_key: bool,
}

/// One step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The matching jobs, in order of id.
    pub jobs: Vec<Walked>,
    /// All jobs up to this id were looked at. None at the end of the walk.
    pub position: Option<Uuid>,
}

/// The next jobs that match, at most `limit`: those after `position` and before `bound`. Ids grow with the time
/// of enqueueing, so a walk up to the id of a job sees the jobs enqueued before it, each once, and ends. The
/// filter's page is ignored.
///
/// # Errors
/// If the database is away.
pub async fn walk(
    connection: &mut PgConnection,
    filter: &Filter,
    position: Uuid,
    bound: Uuid,
    limit: usize,
) -> Result<Step, sqlx::Error> {
    let start = filter.least_id().map_or(position, |least| position.max(before(least)));
    let rows: Vec<(Uuid, String, Option<Uuid>, bool, bool)> = sqlx::query_as(AssertSqlSafe(WALK.as_str()))
        .bind(&filter.kind)
        .bind(filter.state)
        .bind(&filter.queue)
        .bind(&filter.worker)
        .bind(&filter.group)
        .bind(&filter.error_class)
        .bind(filter.from)
        .bind(filter.until)
        .bind(start)
        .bind(bound)
        .bind(SCANNED)
        .bind(filter.wanted_subjects())
        .fetch_all(connection)
        .await?;
    // The last row is the last job that was looked at; the rows before it match.
    let position = rows.last().map(|row| row.0);
    let matching = rows.into_iter().filter(|row| row.4);
    let mut jobs: Vec<_> = matching
        .map(|(id, kind, subject, has_unique_key, _)| Walked { id, kind, subject, has_unique_key })
        .collect();
    if jobs.len() > limit {
        jobs.truncate(limit);
        return Ok(Step { position: jobs.last().map(|job| job.id), jobs });
    }
    Ok(Step { jobs, position })
}

fn before(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_sub(1))
}
