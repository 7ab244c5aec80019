//! Groups whose breaker is open, as a claim sees them: which of them may be probed, and whose time to wait is over.
//!
//! Both are asked under the groups' lock, before the claim's own statement and apart from it: claims for kinds without a
//! breaker are not to pay for them, and while no breaker is open the others pay one look into an index.

use serde_json::{Map, Value};
use sqlx::{FromRow, PgConnection};

use crate::claim::{Claim, Claimed, Wanted};

/// The groups that wait while any breaker is open, each with the room that its own leaves it: 1 where a probe may go, else 0;
/// NULL where it is not open. None while no breaker is open.
///
/// A group that is not among them had no job when they were looked for. The claim leaves it for the next one: its breaker may be
/// open.
#[derive(Debug, Default)]
pub(crate) struct Down(Option<Map<String, Value>>);

#[derive(Debug, FromRow)]
struct Group {
    group_key: String,
    room: Option<i32>,
}

impl Down {
    /// For the claim's statement, which looks groups up in it.
    pub(crate) fn rooms(&self) -> Option<Value> {
        self.0.clone().map(Value::Object)
    }

    /// The groups whose breaker is open.
    fn groups(&self) -> Vec<&str> {
        let open = self.0.iter().flatten().filter(|(_, room)| !room.is_null());
        open.map(|(group, _)| group.as_str()).collect()
    }

    /// Whether jobs wait behind an open breaker.
    pub(crate) fn holds_up(&self) -> bool {
        self.0.iter().flatten().any(|(_, room)| !room.is_null())
    }
}

/// Looks for them: along the groups that wait, whatever their number of jobs. A probe may go once its time has come and nothing
/// of the group runs that was claimed since. What was claimed before is no probe, so it holds up none.
pub(crate) async fn look(tx: &mut PgConnection) -> Result<Down, sqlx::Error> {
    let is_any_open: bool = sqlx::query_scalar(
        "-- down::is_any_open
         SELECT EXISTS (SELECT FROM queue.breakers WHERE opened_at IS NOT NULL)",
    )
    .fetch_one(&mut *tx)
    .await?;
    if !is_any_open {
        return Ok(Down::default());
    }
    let groups: Vec<Group> = sqlx::query_as(
        "-- down::look
         WITH RECURSIVE waiting AS (
             (SELECT group_key FROM queue.jobs
               WHERE state = 'available' AND group_key IS NOT NULL
               ORDER BY group_key LIMIT 1)
             UNION ALL
             SELECT next.group_key
               FROM waiting
              CROSS JOIN LATERAL (
                    SELECT job.group_key FROM queue.jobs AS job
                     WHERE job.group_key > waiting.group_key AND state = 'available' AND group_key IS NOT NULL
                     ORDER BY job.group_key LIMIT 1
              ) AS next
         )
         SELECT waiting.group_key::text,
                CASE WHEN breaker.group_key IS NULL THEN NULL
                     WHEN probe_at <= now() AND NOT EXISTS (
                          SELECT FROM queue.jobs AS probe
                           WHERE probe.state = 'running' AND probe.group_key = breaker.group_key
                             AND probe.group_key IS NOT NULL AND probe.attempted_at >= breaker.probe_at)
                     THEN 1 ELSE 0 END AS room
           FROM waiting
           LEFT JOIN LATERAL (
                SELECT * FROM queue.breakers AS open
                 WHERE open.group_key = waiting.group_key AND opened_at IS NOT NULL
                 LIMIT 1
           ) AS breaker ON true",
    )
    .fetch_all(tx)
    .await?;
    let rooms = groups.into_iter().map(|group| (group.group_key, group.room.into()));
    Ok(Down(Some(rooms.collect())))
}

/// Claims jobs whose time to wait is over while their group is down, suspects too: they are not run but discarded. The room of
/// their group does not bind them, the free slots do.
pub(crate) async fn claim_overdue(
    tx: &mut PgConnection,
    wanted: &[Wanted],
    claim: Claim<'_>,
    down: &Down,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let wanted = || wanted.iter().filter(|wanted| wanted.breaker);
    sqlx::query_as(
        "-- down::claim_overdue
         WITH paused AS MATERIALIZED (
             SELECT ARRAY(SELECT name::text FROM queue.queues WHERE paused_at IS NOT NULL) AS queues
         ), wanted AS MATERIALIZED (
             SELECT w.kind, w.free, paused.queues AS paused
               FROM unnest($3::text[], $4::text[], $5::integer[]) AS w (kind, queue, free)
              CROSS JOIN paused
              WHERE queue <> ALL (paused.queues) AND EXISTS (SELECT FROM queue.workers WHERE id = $1)
         ), overdue AS MATERIALIZED (
             SELECT due.place, wanted.free, row_number() OVER (PARTITION BY wanted.kind ORDER BY due.give_up_at) AS turn
               FROM wanted
              CROSS JOIN unnest($6::text[]) AS down (group_key)
              CROSS JOIN LATERAL (
                    SELECT job.ctid AS place, give_up_at FROM queue.jobs AS job
                     WHERE job.group_key = down.group_key AND job.kind = wanted.kind AND give_up_at <= now()
                       AND state = 'available' AND group_key IS NOT NULL AND queue <> ALL (wanted.paused)
                     ORDER BY give_up_at
                     LIMIT wanted.free
                       FOR UPDATE SKIP LOCKED
              ) AS due
         )
         UPDATE queue.jobs AS job
            SET state = 'running', lease = gen_random_uuid(), worker_id = $1, worker = $2,
                attempt = attempt + 1, attempted_at = now(), progress = NULL
          WHERE ctid = ANY (ARRAY(SELECT place FROM overdue WHERE turn <= free))
         RETURNING job.id, job.kind::text, job.args, job.subject, job.lease, job.priority, job.run_at, job.attempt,
                   job.errors, job.crashes, job.max_attempts, job.max_crashes, job.checkpoint,
                   job.attempted_at, job.created_at, job.group_key::text,
                   COALESCE((SELECT message FROM queue.breakers AS breaker WHERE breaker.group_key = job.group_key), '')",
    )
    .bind(claim.worker_id)
    .bind(claim.worker)
    .bind(wanted().map(|wanted| wanted.kind).collect::<Vec<_>>())
    .bind(wanted().map(|wanted| wanted.queue).collect::<Vec<_>>())
    .bind(wanted().map(|wanted| i32::try_from(wanted.free).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(down.groups())
    .fetch_all(tx)
    .await
}
