//! The claim: one statement for all kinds, never more than is free, only kinds this process knows.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{Connection, FromRow, PgConnection, Row};
use uuid::Uuid;

use crate::down::{self, Down};

/// Priorities, first to last.
pub(crate) const PRIORITIES: usize = 4;

/// Held while jobs of a kind with a limit per group or a breaker are claimed: two claims that count at the same time would
/// each fill the same room. The number is this crate's own choice.
const GROUPS_LOCK: i64 = 0x6265_6465_6c01;

/// A job that was just claimed.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) args: Value,
    pub(crate) subject: Option<Uuid>,
    pub(crate) lease: Uuid,
    pub(crate) priority: i16,
    pub(crate) run_at: DateTime<Utc>,
    pub(crate) attempt: i32,
    pub(crate) errors: i32,
    pub(crate) crashes: i32,
    pub(crate) max_attempts: i32,
    pub(crate) max_crashes: i32,
    pub(crate) checkpoint: Option<Value>,
    /// The time of this claim.
    pub(crate) attempted_at: DateTime<Utc>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) group_key: Option<String>,
    /// Why the job is not run: its time is over, and this is what its group, whose breaker is open, said last.
    pub(crate) down: Option<String>,
}

/// By place: thousands of rows a second arrive here, and each name would be looked up in each.
impl FromRow<'_, PgRow> for Claimed {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            kind: row.try_get(1)?,
            args: row.try_get(2)?,
            subject: row.try_get(3)?,
            lease: row.try_get(4)?,
            priority: row.try_get(5)?,
            run_at: row.try_get(6)?,
            attempt: row.try_get(7)?,
            errors: row.try_get(8)?,
            crashes: row.try_get(9)?,
            max_attempts: row.try_get(10)?,
            max_crashes: row.try_get(11)?,
            checkpoint: row.try_get(12)?,
            attempted_at: row.try_get(13)?,
            created_at: row.try_get(14)?,
            group_key: row.try_get(15)?,
            down: row.try_get(16)?,
        })
    }
}

/// How many of a kind are wanted, and from where on to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) kind: &'static str,
    /// The kind's own queue.
    pub(crate) queue: &'static str,
    pub(crate) free: usize,
    /// More than that are free, and asked for by the next claim.
    pub(crate) more: bool,
    pub(crate) group_limit: Option<u32>,
    /// Its jobs wait while the breaker of their group is open.
    pub(crate) breaker: bool,
    /// For each priority, the `run_at` before which a look found nothing more.
    pub(crate) from: [Option<DateTime<Utc>>; PRIORITIES],
}

impl Wanted {
    /// Whether what runs of a group decides on its next job.
    fn counts_groups(&self) -> bool {
        self.group_limit.is_some() || self.breaker
    }
}

/// What claims are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) worker_id: Uuid,
    pub(crate) worker: &'a str,
    /// Whether a suspect (a job with a counted crash) may come along, at most one.
    pub(crate) may_take_suspect: bool,
}

/// What a claim brought.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    pub(crate) rows: Vec<Claimed>,
    /// Kinds whose groups are counted were left out, since another process was claiming for such.
    pub(crate) left_out: bool,
}

/// Claims what is due.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    wanted: &[Wanted],
    claim: Claim<'_>,
) -> Result<Brought, sqlx::Error> {
    let unlimited: Vec<_> = wanted.iter().copied().filter(|wanted| !wanted.counts_groups()).collect();
    if unlimited.len() < wanted.len() {
        // The lock has to be there before the statement that counts begins to look. So has the worker's row: one that appears
        // between two of the statements would let a job through that the first of them should have ended.
        let mut tx = connection.begin().await?;
        let locked: Option<bool> = sqlx::query_scalar(
            "-- claim::lock_groups
             SELECT pg_try_advisory_xact_lock($1) FROM queue.workers WHERE id = $2",
        )
        .bind(GROUPS_LOCK)
        .bind(claim.worker_id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(locked) = locked else {
            tx.rollback().await?;
            return Ok(Brought::default());
        };
        if locked {
            let rows = take_counting(&mut tx, wanted, claim).await?;
            tx.commit().await?;
            return Ok(Brought { rows, left_out: false });
        }
        tx.rollback().await?;
    }
    let rows = take(connection, &unlimited, claim, &Down::default()).await?;
    Ok(Brought { rows, left_out: unlimited.len() < wanted.len() })
}

/// Claims under the groups' lock. While a breaker is open, jobs of its group whose time is over go before everything else.
async fn take_counting(
    tx: &mut PgConnection,
    wanted: &[Wanted],
    claim: Claim<'_>,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let mut wanted = wanted.to_vec();
    let (mut rows, mut down) = (Vec::new(), Down::default());
    if wanted.iter().any(|wanted| wanted.breaker) {
        down = down::look(tx).await?;
    }
    if down.holds_up() {
        rows = down::claim_overdue(tx, &wanted, claim, &down).await?;
        for wanted in &mut wanted {
            let overdue = rows.iter().filter(|row| row.kind == wanted.kind).count();
            wanted.free = wanted.free.saturating_sub(overdue);
        }
    }
    rows.extend(take(tx, &wanted, claim, &down).await?);
    Ok(rows)
}

/// The claim's statement. At most one suspect comes along where it may; one whose crash budget is spent may always come,
/// since it is not run but discarded. A worker without a row in `queue.workers` gets nothing, since nobody would watch over
/// what it claimed. A kind gets nothing while its own queue is paused, a job nothing while it stands in a paused one.
///
/// One look per priority, each along the index from the earliest `run_at`: jobs scheduled for later are never walked.
/// Jobs with a group are looked for group by group, so that a full group's crowd is not walked either. A group that is down
/// has the room it was found to have, for kinds with a breaker.
///
/// The rows' places (`ctid`; the locks keep them where they are) reach the update as an array, so that the plan does not
/// depend on a guess of how many are due. The leases come along: made by the database they would cost as much as one more
/// index.
async fn take(
    connection: &mut PgConnection,
    wanted: &[Wanted],
    claim: Claim<'_>,
    down: &Down,
) -> Result<Vec<Claimed>, sqlx::Error> {
    fn each<T>(wanted: &[Wanted], get: impl Fn(&Wanted) -> T) -> Vec<T> {
        wanted.iter().map(get).collect()
    }
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let limit = |limit: u32| i32::try_from(limit).unwrap_or(i32::MAX);
    let most = wanted.iter().map(|wanted| wanted.free).sum();
    let leases: Vec<Uuid> = std::iter::repeat_with(Uuid::new_v4).take(most).collect();
    sqlx::query_as(
        "-- claim
         WITH RECURSIVE paused AS MATERIALIZED (
             SELECT ARRAY(SELECT name::text FROM queue.queues WHERE paused_at IS NOT NULL) AS queues
         ), wanted AS MATERIALIZED (
             SELECT w.*, paused.queues AS paused
               FROM unnest($4::text[], $5::text[], $6::integer[], $7::integer[],
                           $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $13::boolean[])
                    AS w (kind, queue, free, group_limit, from_1, from_2, from_3, from_4, breaker)
              CROSS JOIN paused
              WHERE free > 0 AND queue <> ALL (paused.queues) AND EXISTS (SELECT FROM queue.workers WHERE id = $1)
         ), busy AS MATERIALIZED (
             SELECT group_key, count(*) AS running FROM queue.jobs
              WHERE state = 'running' AND group_key IS NOT NULL
              GROUP BY group_key
         ), suspect AS MATERIALIZED (
             SELECT job.ctid AS place, job.kind, job.group_key
               FROM queue.jobs AS job JOIN wanted ON wanted.kind = job.kind
              WHERE job.state = 'available' AND job.crashes > 0 AND job.run_at <= now()
                AND ($3 OR job.crashes >= job.max_crashes)
                AND job.queue <> ALL (wanted.paused)
                AND (wanted.group_limit IS NULL OR job.group_key IS NULL
                     OR wanted.group_limit > COALESCE((SELECT running FROM busy WHERE busy.group_key = job.group_key), 0))
                AND (NOT wanted.breaker OR job.crashes >= job.max_crashes
                     OR CASE WHEN NOT jsonb_exists($14::jsonb, job.group_key) THEN 0
                                ELSE COALESCE(($14::jsonb ->> job.group_key)::integer, 1) END > 0)
              ORDER BY job.priority, job.run_at
              LIMIT 1
                FOR UPDATE OF job SKIP LOCKED
         ), groups AS (
             SELECT wanted.kind, first.group_key
               FROM wanted
              CROSS JOIN LATERAL (
                    SELECT group_key FROM queue.jobs AS job
                     WHERE job.kind = wanted.kind AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                     ORDER BY group_key LIMIT 1
              ) AS first
             UNION ALL
             SELECT groups.kind, next.group_key
               FROM groups
              CROSS JOIN LATERAL (
                    SELECT group_key FROM queue.jobs AS job
                     WHERE job.kind = groups.kind AND job.group_key > groups.group_key
                       AND state = 'available' AND crashes = 0 AND group_key IS NOT NULL
                     ORDER BY group_key LIMIT 1
              ) AS next
         ), room AS MATERIALIZED (
             -- No number where there is no limit: LEAST passes over NULL.
             SELECT wanted.kind, wanted.paused, wanted.free, groups.group_key,
                    LEAST(wanted.group_limit - COALESCE(busy.running, 0),
                          CASE WHEN NOT wanted.breaker THEN NULL
                               WHEN NOT jsonb_exists($14::jsonb, groups.group_key) THEN 0
                               ELSE ($14::jsonb ->> groups.group_key)::integer END)
                          - (SELECT count(*) FROM suspect WHERE suspect.group_key = groups.group_key) AS room
               FROM groups JOIN wanted USING (kind) LEFT JOIN busy USING (group_key)
         ), grouped AS MATERIALIZED (
             -- Kinds that share a group share its room: the limit holds for the first of all of them together.
             SELECT kind, place, priority, run_at
               FROM (SELECT room.kind, room.room, due.*,
                            row_number() OVER (PARTITION BY room.group_key ORDER BY due.priority, due.run_at, due.place) AS turn
                       FROM room
                      CROSS JOIN LATERAL (
                            SELECT found.place, found.priority, found.run_at
                              FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
                             CROSS JOIN LATERAL (
                                   SELECT job.ctid AS place, priority, run_at FROM queue.jobs AS job
                                    WHERE job.kind = room.kind AND job.group_key = room.group_key
                                      AND job.priority = p.priority AND state = 'available' AND crashes = 0
                                      AND group_key IS NOT NULL AND run_at <= now() AND queue <> ALL (room.paused)
                                    ORDER BY run_at
                                    LIMIT LEAST(room.free, room.room)
                                      FOR UPDATE SKIP LOCKED
                             ) AS found
                             LIMIT LEAST(room.free, room.room)
                      ) AS due
                      WHERE room.room IS NULL OR room.room > 0) AS fits
              WHERE room IS NULL OR turn <= room
         ), chosen AS (
             SELECT due.place
               FROM wanted
              CROSS JOIN LATERAL (
                    SELECT place
                      FROM ((SELECT single.*
                              FROM (VALUES (1::smallint, from_1), (2::smallint, from_2),
                                           (3::smallint, from_3), (4::smallint, from_4)) AS p (priority, start)
                             CROSS JOIN LATERAL (
                                   SELECT job.ctid AS place, priority, run_at FROM queue.jobs AS job
                                    WHERE job.kind = wanted.kind AND job.priority = p.priority
                                      AND state = 'available' AND crashes = 0 AND group_key IS NULL
                                      AND run_at >= COALESCE(p.start, '-infinity') AND run_at <= now()
                                      AND queue <> ALL (wanted.paused)
                                    ORDER BY run_at
                                    LIMIT wanted.free
                                      FOR UPDATE SKIP LOCKED
                             ) AS single
                             LIMIT wanted.free)
                            UNION ALL
                            SELECT place, priority, run_at FROM grouped WHERE grouped.kind = wanted.kind) AS found
                     ORDER BY priority, run_at
                     LIMIT wanted.free - (SELECT count(*) FROM suspect WHERE suspect.kind = wanted.kind)
              ) AS due
         )
         UPDATE queue.jobs AS job
            SET state = 'running', lease = ($12::uuid[])[number], worker_id = $1, worker = $2,
                attempt = attempt + 1, attempted_at = now(), progress = NULL
           FROM unnest(ARRAY(SELECT place FROM suspect UNION ALL SELECT place FROM chosen))
                WITH ORDINALITY AS claimed (place, number)
          WHERE job.ctid = claimed.place
         RETURNING job.id, job.kind::text, job.args, job.subject, job.lease, job.priority, job.run_at, job.attempt,
                   job.errors, job.crashes, job.max_attempts, job.max_crashes, job.checkpoint,
                   job.attempted_at, job.created_at, job.group_key::text, NULL::text AS down",
    )
    .bind(claim.worker_id)
    .bind(claim.worker)
    .bind(claim.may_take_suspect)
    .bind(each(wanted, |wanted| wanted.kind))
    .bind(each(wanted, |wanted| wanted.queue))
    .bind(each(wanted, |wanted| number(wanted.free)))
    .bind(each(wanted, |wanted| wanted.group_limit.map(limit)))
    .bind(each(wanted, |wanted| wanted.from[0]))
    .bind(each(wanted, |wanted| wanted.from[1]))
    .bind(each(wanted, |wanted| wanted.from[2]))
    .bind(each(wanted, |wanted| wanted.from[3]))
    .bind(leases)
    .bind(each(wanted, |wanted| wanted.breaker))
    .bind(down.rooms())
    .fetch_all(connection)
    .await
}
