//! Groups whose breaker is open: which may be probed, and which of their jobs have run out of time.
//!
//! Two statements before the claim's own, under the same lock. Claims for kinds without a breaker skip both.
//! While no breaker is open, the other claims pay one index lookup.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use super::claimable::expand;
use super::claimed::Claimed;
use super::request::{ClaimRequest, KindDemand};

static CLAIM_OVERDUE: LazyLock<String> =
    LazyLock::new(|| expand(include_str!("../../sql/claim_overdue.sql")));

/// The groups with waiting jobs while any breaker is open, each with its room: 1 if a probe may start, 0 if
/// not, NULL if its breaker is closed. None while no breaker is open.
///
/// A group that is missing had no waiting job at the time of the read. The claim skips it until the next one,
/// as its breaker may be open.
#[derive(Debug, Default)]
pub(crate) struct OpenGroups(Option<Map<String, Value>>);

#[derive(Debug, FromRow)]
struct Group {
    group_key: String,
    room: Option<i32>,
}

impl OpenGroups {
    /// Room by group, as a parameter of the claim's statement.
    pub(super) fn rooms(&self) -> Option<Value> {
        self.0.clone().map(Value::Object)
    }

    fn open(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().filter(|(_, room)| !room.is_null()).map(|(group, _)| group.as_str())
    }

    /// True if jobs wait behind an open breaker.
    pub(super) fn have_waiting_jobs(&self) -> bool {
        self.open().next().is_some()
    }
}

/// Walks the groups with waiting jobs; the number of jobs per group does not matter. A probe may start when
/// its time has come and no job of the group runs that was claimed since. Attempts from before the opening
/// are no probes and block none.
pub(super) async fn find_open_groups(tx: &mut PgConnection) -> Result<OpenGroups, sqlx::Error> {
    let (is_any_open, is_any_ahead): (bool, bool) = sqlx::query_as(
        "-- open_groups::is_any
         SELECT count(*) > 0, COALESCE(bool_or(failed_at > now() + interval '1 minute'), false)
           FROM queue.breakers WHERE opened_at IS NOT NULL",
    )
    .fetch_one(&mut *tx)
    .await?;
    if !is_any_open {
        return Ok(OpenGroups::default());
    }
    if is_any_ahead {
        probe_at_once(tx).await?;
    }
    let groups: Vec<Group> = sqlx::query_as(include_str!("../../sql/open_groups.sql")).fetch_all(tx).await?;
    let rooms = groups.into_iter().map(|group| (group.group_key, group.room.into()));
    Ok(OpenGroups(Some(rooms.collect())))
}

/// The database's clock was set back: the pauses that began before would last until it catches up.
async fn probe_at_once(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- open_groups::probe_at_once
         UPDATE queue.breakers SET failed_at = now(), opened_at = least(opened_at, now()), probe_at = now()
          WHERE opened_at IS NOT NULL AND failed_at > now() + interval '1 minute'",
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Claims jobs, suspects included, whose time is up while their group is down. They are discarded without a
/// run. Free slots limit them; the group's room does not.
pub(super) async fn claim_overdue(
    tx: &mut PgConnection,
    demands: &[KindDemand],
    request: ClaimRequest<'_>,
    open_groups: &OpenGroups,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let demands = || demands.iter().filter(|demand| demand.breaker);
    sqlx::query_as(AssertSqlSafe(CLAIM_OVERDUE.as_str()))
        .bind(request.worker_id)
        .bind(request.worker)
        .bind(demands().map(|demand| demand.kind).collect::<Vec<_>>())
        .bind(demands().map(|demand| demand.queue).collect::<Vec<_>>())
        .bind(demands().map(|demand| i32::try_from(demand.free).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(open_groups.open().collect::<Vec<_>>())
        .fetch_all(tx)
        .await
}
