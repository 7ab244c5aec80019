//! Lists and counts of jobs, each with a bounded scan.
//!
//! A filter chooses one of six scans, defined in `sql/terms/`; `{matches}` then applies all of its conditions.

use std::sync::LazyLock;

use serde::Serialize;
use sqlx::{Acquire, AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::filter::Filter;
use super::view::{JobState, JobView, with_columns};
use crate::admin::counting::disable_jit;
use crate::claim::claimable;
use crate::column::Timestamp;

/// Most jobs that a list or a count reads: a filter with few matches must not walk the whole table.
const SCAN_LIMIT: i64 = 10_000;

/// The statements of one scan.
struct Statements {
    list: LazyLock<String>,
    count: LazyLock<String>,
}

macro_rules! statements {
    ($name:literal) => {
        Statements {
            list: LazyLock::new(|| expand(include_str!(concat!("../../../sql/list_", $name, ".sql")), $name)),
            count: LazyLock::new(|| {
                expand(include_str!(concat!("../../../sql/count_", $name, ".sql")), $name)
            }),
        }
    };
}

static NEWEST: Statements = statements!("newest");
static RUNNING: Statements = statements!("running");
static WAITING: Statements = statements!("waiting");
static ENDED: Statements = statements!("ended");
static OF_SUBJECTS: Statements = statements!("of_subjects");
static OF_CLASS: Statements = statements!("of_class");

/// The statement with its scan and its conditions.
fn expand(statement: &str, scan: &str) -> String {
    let text = match scan {
        "newest" => include_str!("../../../sql/terms/newest.sql"),
        "running" => include_str!("../../../sql/terms/running.sql"),
        "waiting" => include_str!("../../../sql/terms/waiting.sql"),
        "ended" => include_str!("../../../sql/terms/ended.sql"),
        "of_subjects" => include_str!("../../../sql/terms/of_subjects.sql"),
        _ => include_str!("../../../sql/terms/of_class.sql"),
    };
    let statement = with_columns(statement)
        .replace(&format!("{{{scan}}}"), text.trim_end())
        .replace("{matches}", include_str!("../../../sql/terms/matches.sql").trim_end());
    claimable::expand(&statement)
}

/// The last parameter of a scan.
enum Extra {
    None,
    /// Only jobs that ended before.
    EndedBefore(Option<Timestamp>),
    Subjects(Vec<Uuid>),
}

/// A scan with its bounds.
struct Scan {
    statements: &'static Statements,
    upper_id: Option<Uuid>,
    extra: Extra,
}

impl Scan {
    /// None if nothing can match.
    async fn of(connection: &mut PgConnection, filter: &Filter) -> Result<Option<Self>, sqlx::Error> {
        let upper_id = filter.upper_id();
        if let Some(subjects) = filter.wanted_subjects() {
            return Ok(Some(Self { statements: &OF_SUBJECTS, upper_id, extra: Extra::Subjects(subjects) }));
        }
        let statements = match filter.state {
            Some(JobState::Running) => &RUNNING,
            _ if filter.error_class.is_some() => &OF_CLASS,
            Some(JobState::Available) => &WAITING,
            _ if filter.wants_ended() => return Self::of_ended(connection, filter).await,
            _ => &NEWEST,
        };
        Ok(Some(Self { statements, upper_id, extra: Extra::None }))
    }

    /// Sorted by end. The end of the previous page's last job is read first: inside the statement the planner
    /// would estimate it and sort the table.
    async fn of_ended(connection: &mut PgConnection, filter: &Filter) -> Result<Option<Self>, sqlx::Error> {
        let (before, upper_id) = match filter.after {
            // No id is lower than the nil UUID: only jobs that ended before, not at, `until`.
            None => (filter.until.map(Timestamp::from), filter.until.map(|_| Uuid::nil())),
            Some(id) => {
                let ended: Option<Option<Timestamp>> = sqlx::query_scalar(
                    "-- inspect::ended_at\nSELECT finalized_at FROM queue.jobs WHERE id = $1",
                )
                .bind(id)
                .fetch_optional(connection)
                .await?;
                // A deleted job ended before all remaining ones.
                let Some(ended) = ended.flatten() else { return Ok(None) };
                (Some(ended), Some(id))
            }
        };
        Ok(Some(Self { statements: &ENDED, upper_id, extra: Extra::EndedBefore(before) }))
    }
}

macro_rules! bind {
    ($query:expr, $filter:expr, $scan:expr, $limit:expr) => {{
        let query = $query
            .bind(&$filter.kind)
            .bind($filter.state)
            .bind(&$filter.queue)
            .bind(&$filter.worker)
            .bind(&$filter.group)
            .bind(&$filter.error_class)
            .bind($filter.from)
            .bind($filter.until)
            .bind($scan.upper_id)
            .bind($filter.least_id())
            .bind(SCAN_LIMIT)
            .bind($limit);
        match &$scan.extra {
            Extra::None => query,
            Extra::EndedBefore(time) => query.bind(time),
            Extra::Subjects(subjects) => query.bind(subjects),
        }
    }};
}

/// Jobs, newest first, without their failed attempts; reads at most 10,000. With subjects: their jobs. Running
/// jobs: all that run. Waiting jobs: of each kind and priority (and of those with a group, and of suspects) the 1,000
/// that are due first, or with a kind the 10,000 of it. With an error class: the jobs enqueued last of those that failed with it. A final state:
/// the jobs that ended last. Otherwise: the jobs enqueued last.
///
/// # Errors
/// If the database is away.
pub async fn list(connection: &mut PgConnection, filter: &Filter) -> Result<Vec<JobView>, sqlx::Error> {
    let Some(scan) = Scan::of(connection, filter).await? else { return Ok(Vec::new()) };
    let mut tx = connection.begin().await?;
    disable_jit(&mut tx).await?;
    let query = sqlx::query_as(AssertSqlSafe(scan.statements.list.as_str()));
    let jobs = bind!(query, filter, scan, filter.limit).fetch_all(&mut *tx).await?;
    // Nothing was written; the rollback restores the caller's setting.
    tx.rollback().await?;
    Ok(jobs)
}

/// A count with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Count {
    /// Matching jobs found.
    pub jobs: i64,
    /// True if there may be more: the count stopped at its cap, or after 10,000 scanned jobs.
    pub more: bool,
}

/// The number of jobs that match, at most `cap`. Scans the jobs that [`list`] scans.
///
/// # Errors
/// If the database is away.
pub async fn count(connection: &mut PgConnection, filter: &Filter, cap: i64) -> Result<Count, sqlx::Error> {
    let nothing = Count { jobs: 0, more: false };
    let Some(scan) = Scan::of(connection, filter).await? else { return Ok(nothing) };
    let mut tx = connection.begin().await?;
    disable_jit(&mut tx).await?;
    let query = sqlx::query_as(AssertSqlSafe(scan.statements.count.as_str()));
    let count = bind!(query, filter, scan, cap).fetch_one(&mut *tx).await?;
    tx.rollback().await?;
    Ok(count)
}
