//! The claim: one statement for all kinds, never more than is free, only kinds this process knows.

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// A job that was just claimed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) args: Value,
    pub(crate) subject: Option<Uuid>,
    pub(crate) lease: Uuid,
    pub(crate) attempt: i32,
    pub(crate) errors: i32,
    pub(crate) crashes: i32,
    pub(crate) max_attempts: i32,
    pub(crate) max_crashes: i32,
    pub(crate) checkpoint: Option<Value>,
    pub(crate) age_seconds: f64,
}

/// How many of a kind are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) kind: &'static str,
    pub(crate) free: usize,
}

/// Claims what is due. Where `may_take_suspect`, at most one suspect (a job with a counted crash) comes along; one whose
/// crash budget is spent may always come, since it is not run but discarded. A worker without a row in `queue.workers`
/// gets nothing, since nobody would watch over what it claimed.
///
/// One look per priority, each along the index from the earliest `run_at`: jobs scheduled for later are never walked.
/// The ids reach the update as an array, so that the plan does not depend on a guess of how many are due.
pub(crate) async fn claim(
    pool: &PgPool,
    wanted: &[Wanted],
    worker_id: Uuid,
    worker: &str,
    may_take_suspect: bool,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let kinds: Vec<&str> = wanted.iter().map(|wanted| wanted.kind).collect();
    let free: Vec<i32> = wanted.iter().map(|wanted| i32::try_from(wanted.free).unwrap_or(i32::MAX)).collect();
    sqlx::query_as(
        "-- claim
         WITH wanted AS MATERIALIZED (
             SELECT kind, free FROM unnest($1::text[], $2::integer[]) AS w(kind, free)
              WHERE free > 0 AND EXISTS (SELECT FROM queue.workers WHERE id = $3)
         ), suspect AS MATERIALIZED (
             SELECT id, kind FROM queue.jobs
              WHERE state = 'available' AND crashes > 0 AND run_at <= now()
                AND ($5 OR crashes >= max_crashes) AND kind IN (SELECT kind FROM wanted)
              ORDER BY priority, run_at
              LIMIT 1
                FOR UPDATE SKIP LOCKED
         ), ordinary AS MATERIALIZED (
             SELECT due.id
               FROM wanted
              CROSS JOIN LATERAL (
                    SELECT found.id
                      FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
                     CROSS JOIN LATERAL (
                           SELECT id FROM queue.jobs
                            WHERE kind = wanted.kind AND priority = p.priority
                              AND state = 'available' AND crashes = 0 AND run_at <= now()
                            ORDER BY run_at
                            LIMIT wanted.free
                              FOR UPDATE SKIP LOCKED
                     ) AS found
                     LIMIT wanted.free - (SELECT count(*) FROM suspect WHERE suspect.kind = wanted.kind)
              ) AS due
         )
         UPDATE queue.jobs AS job
            SET state = 'running', lease = gen_random_uuid(), worker_id = $3, worker = $4,
                attempt = attempt + 1, attempted_at = now(), progress = NULL
          WHERE job.id = ANY (ARRAY(SELECT id FROM suspect UNION ALL SELECT id FROM ordinary))
         RETURNING job.id, job.kind, job.args, job.subject, job.lease, job.attempt, job.errors, job.crashes,
                   job.max_attempts, job.max_crashes, job.checkpoint,
                   extract(epoch FROM now() - job.created_at)::float8 AS age_seconds",
    )
    .bind(kinds)
    .bind(free)
    .bind(worker_id)
    .bind(worker)
    .bind(may_take_suspect)
    .fetch_all(pool)
    .await
}
