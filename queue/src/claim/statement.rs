//! The claim: one statement for all kinds. It takes at most the free slots, and only kinds that this process
//! knows.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::claimable::expand;
use super::claimed::Claimed;
use super::open_groups::{OpenGroups, claim_overdue, find_open_groups};
use super::request::{ClaimRequest, ClaimResult, KindDemand};

static CLAIM: LazyLock<String> = LazyLock::new(|| expand(include_str!("../../sql/claim.sql")));

static NEXT_DUE: LazyLock<String> = LazyLock::new(|| expand(include_str!("../../sql/next_due.sql")));

/// Advisory lock around claims for kinds with a group limit or a breaker: two concurrent claims would both
/// fill the same room. The number is this crate's own choice.
const GROUPS_LOCK: i64 = 0x6265_6465_6c01;

/// How long until a job of these kinds is due; an hour at most. None if none waits. Cheaper than a claim, and without the
/// groups' lock.
pub(crate) async fn next_due(
    connection: &mut PgConnection,
    kinds: &[&str],
) -> Result<Option<Duration>, sqlx::Error> {
    let seconds: Option<f64> =
        sqlx::query_scalar(AssertSqlSafe(NEXT_DUE.as_str())).bind(kinds).fetch_one(connection).await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// Claims due jobs.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    demands: &[KindDemand],
    request: ClaimRequest<'_>,
) -> Result<ClaimResult, sqlx::Error> {
    let ungrouped: Vec<_> = demands.iter().copied().filter(|demand| !demand.counts_groups()).collect();
    if ungrouped.len() < demands.len() {
        // The lock must be held before the counting statement takes its snapshot. So must the worker's row
        // exist: if it appeared between two of the statements, a job could run that the first statement
        // should have ended.
        let mut tx = connection.begin().await?;
        let locked: Option<bool> = sqlx::query_scalar(
            "-- claim::lock_groups
             SELECT pg_try_advisory_xact_lock($1) FROM queue.workers WHERE id = $2",
        )
        .bind(GROUPS_LOCK)
        .bind(request.worker_id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(locked) = locked else {
            tx.rollback().await?;
            return Ok(ClaimResult::default());
        };
        if locked {
            let rows = take_counting_groups(&mut tx, demands, request).await?;
            tx.commit().await?;
            return Ok(ClaimResult { rows, skipped_groups: false });
        }
        tx.rollback().await?;
    }
    let rows = take(connection, &ungrouped, request, &OpenGroups::default()).await?;
    Ok(ClaimResult { rows, skipped_groups: ungrouped.len() < demands.len() })
}

/// Claims under the groups' lock. While a breaker is open, overdue jobs of its group come first.
async fn take_counting_groups(
    tx: &mut PgConnection,
    demands: &[KindDemand],
    request: ClaimRequest<'_>,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let mut demands = demands.to_vec();
    let (mut rows, mut open_groups) = (Vec::new(), OpenGroups::default());
    if demands.iter().any(|demand| demand.breaker) {
        open_groups = find_open_groups(tx).await?;
    }
    if open_groups.have_waiting_jobs() {
        rows = claim_overdue(tx, &demands, request, &open_groups).await?;
        for demand in &mut demands {
            let overdue = rows.iter().filter(|row| row.kind == demand.kind).count();
            demand.free = demand.free.saturating_sub(overdue);
        }
    }
    rows.extend(take(tx, &demands, request, &open_groups).await?);
    Ok(rows)
}

/// Runs the claim's statement.
///
/// - It takes at most one suspect, if allowed, and then no other job. A suspect with a spent crash budget is always
///   allowed: it is discarded, not run.
/// - A worker without a row in `queue.workers` gets nothing: no other worker could detect its death.
/// - A kind gets nothing while its own queue is paused; a job gets nothing while it is in a paused queue.
/// - One index scan per priority, from the earliest `run_at`, never walks jobs that are scheduled for later.
/// - Jobs with a group are searched group by group, so a full group's backlog is not walked either. For kinds
///   with a breaker, a down group has the room in `open_groups`.
/// - The rows' positions (`ctid`, stable under the row locks) reach the update as an array, so the plan does
///   not depend on an estimate of how many jobs are due.
/// - The leases are parameters: generating them in the database would cost as much as one more index.
async fn take(
    connection: &mut PgConnection,
    demands: &[KindDemand],
    request: ClaimRequest<'_>,
    open_groups: &OpenGroups,
) -> Result<Vec<Claimed>, sqlx::Error> {
    fn each<T>(demands: &[KindDemand], get: impl Fn(&KindDemand) -> T) -> Vec<T> {
        demands.iter().map(get).collect()
    }
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let limit = |limit: u32| i32::try_from(limit).unwrap_or(i32::MAX);
    let most = demands.iter().map(|demand| demand.free).sum();
    let leases: Vec<Uuid> = std::iter::repeat_with(Uuid::new_v4).take(most).collect();
    sqlx::query_as(AssertSqlSafe(CLAIM.as_str()))
        .bind(request.worker_id)
        .bind(request.worker)
        .bind(request.may_take_suspect)
        .bind(each(demands, |demand| demand.kind))
        .bind(each(demands, |demand| demand.queue))
        .bind(each(demands, |demand| number(demand.free)))
        .bind(each(demands, |demand| demand.group_limit.map(limit)))
        .bind(each(demands, |demand| demand.from[0]))
        .bind(each(demands, |demand| demand.from[1]))
        .bind(each(demands, |demand| demand.from[2]))
        .bind(each(demands, |demand| demand.from[3]))
        .bind(leases)
        .bind(each(demands, |demand| demand.breaker))
        .bind(open_groups.rooms())
        .bind(request.is_alone)
        .fetch_all(connection)
        .await
}
