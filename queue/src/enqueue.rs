//! Enqueueing: a job exists if and only if the caller's transaction commits.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::job::{Job, Policy};

/// A job to be enqueued.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub(crate) kind: &'static str,
    pub(crate) args: Value,
    pub(crate) policy: Policy,
    pub(crate) subject: Option<Uuid>,
    pub(crate) unique_key: Option<String>,
    pub(crate) group_key: Option<String>,
    pub(crate) priority: i16,
    pub(crate) delay: Duration,
}

impl NewJob {
    /// A job of `J`'s kind with these args and `J`'s policy.
    ///
    /// # Panics
    /// Where the args cannot be written as JSON, which is an error in their type.
    #[must_use]
    pub fn new<J: Job>(args: &J) -> Self {
        Self {
            kind: J::KIND,
            args: serde_json::to_value(args).expect("the args of a job kind are plain data"),
            policy: J::policy(),
            subject: None,
            unique_key: None,
            group_key: None,
            priority: 2,
            delay: Duration::ZERO,
        }
    }

    /// What the job is about; `ended` and `attempt_failed` get it, and it is indexed.
    #[must_use]
    pub fn subject(mut self, subject: Uuid) -> Self {
        self.subject = Some(subject);
        self
    }

    /// At most one live (available or running) job has this key.
    #[must_use]
    pub fn unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// The shared thing the job will lean on, such as an upstream's host: see
    /// [`Policy::group_limit`](crate::Policy::group_limit). Meant for dozens of groups: a claim looks at each group that
    /// has jobs waiting, a page or two for each.
    #[must_use]
    pub fn group_key(mut self, key: impl Into<String>) -> Self {
        self.group_key = Some(key.into());
        self
    }

    /// 1 (first) to 4 (last); 2 by default.
    #[must_use]
    pub fn priority(mut self, priority: i16) -> Self {
        self.priority = priority.clamp(1, 4);
        self
    }

    /// Not before this long from now, by the database's clock.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Whether the two differ in args, subject, group and unique key at most, and neither has a unique key.
    fn is_like(&self, other: &Self) -> bool {
        let time = |job: &Self| (job.delay, job.policy.give_up_after);
        self.kind == other.kind
            && self.unique_key.is_none()
            && self.priority == other.priority
            && time(self) == time(other)
            && self.policy.max_attempts == other.policy.max_attempts
            && self.policy.max_crashes == other.policy.max_crashes
    }

    /// Overrides the policy's `give_up_after`.
    #[must_use]
    pub fn give_up_after(mut self, limit: Duration) -> Self {
        self.policy.give_up_after = limit;
        self
    }
}

/// What enqueueing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job: the new one, or the live one that already has the unique key.
    pub id: Uuid,
    /// False where a live job with the same unique key was found instead.
    pub created: bool,
}

/// Enqueues `job` in the caller's transaction. Wake the workers after the commit with [`Queue::wake`](crate::Queue::wake).
///
/// # Errors
/// The database's.
pub async fn enqueue(tx: &mut PgConnection, job: &NewJob) -> Result<Enqueued, sqlx::Error> {
    let enqueued = enqueue_many(tx, std::slice::from_ref(job)).await?;
    enqueued.first().copied().ok_or(sqlx::Error::RowNotFound)
}

/// Enqueues `jobs` in the caller's transaction by one statement, and answers in their order. Where two of them have the
/// same unique key the later finds the earlier. A batch of one kind without unique keys and delays costs least; some
/// thousand jobs a call is a good size, and at most about a gigabyte of args fits.
///
/// # Errors
/// The database's; then none of them is enqueued.
pub async fn enqueue_many(tx: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, sqlx::Error> {
    match jobs {
        [] => Ok(Vec::new()),
        [first, rest @ ..] if rest.iter().all(|job| job.is_like(first)) && first.unique_key.is_none() => {
            enqueue_alike(tx, first, jobs).await
        }
        _ => enqueue_each(tx, jobs, false).await,
    }
}

/// A job in a transaction of its own, which carries the wake-up.
pub(crate) async fn enqueue_and_notify(
    connection: &mut PgConnection,
    job: &NewJob,
) -> Result<Enqueued, sqlx::Error> {
    let enqueued = enqueue_each(connection, std::slice::from_ref(job), true).await?;
    enqueued.first().copied().ok_or(sqlx::Error::RowNotFound)
}

/// One by one inside the database, in the order of the keys, so that two batches with the same keys cannot wait for each
/// other.
async fn enqueue_each(
    tx: &mut PgConnection,
    jobs: &[NewJob],
    notify: bool,
) -> Result<Vec<Enqueued>, sqlx::Error> {
    fn each<'a, T>(jobs: &'a [NewJob], get: impl Fn(&'a NewJob) -> T) -> Vec<T> {
        jobs.iter().map(get).collect()
    }
    let rows: Vec<(Uuid, bool)> = sqlx::query_as(
        "-- enqueue
         SELECT done.id, done.created, CASE WHEN $12 AND done.created THEN pg_notify('bedel_queue', '') END
           FROM (SELECT * FROM unnest($1::text[], $2::jsonb[], $3::uuid[], $4::text[], $5::text[], $6::text[],
                                      $7::smallint[], $8::float8[], $9::float8[], $10::integer[], $11::integer[])
                   WITH ORDINALITY AS t (kind, args, subject, unique_key, group_key, queue,
                                         priority, delay, give_up_after, max_attempts, max_crashes, place)
                  ORDER BY unique_key, place) AS job
          CROSS JOIN LATERAL queue.enqueue(
                kind => job.kind, args => job.args, subject => job.subject, unique_key => job.unique_key,
                group_key => job.group_key, queue => job.queue, priority => job.priority,
                delay => make_interval(secs => job.delay), give_up_after => make_interval(secs => job.give_up_after),
                max_attempts => job.max_attempts, max_crashes => job.max_crashes) AS done
          ORDER BY job.place",
    )
    .bind(each(jobs, |job| job.kind))
    .bind(each(jobs, |job| &job.args))
    .bind(each(jobs, |job| job.subject))
    .bind(each(jobs, |job| job.unique_key.as_deref()))
    .bind(each(jobs, |job| job.group_key.as_deref()))
    .bind(each(jobs, |job| job.policy.queue))
    .bind(each(jobs, |job| job.priority))
    .bind(each(jobs, |job| job.delay.as_secs_f64()))
    .bind(each(jobs, |job| job.policy.give_up_after.as_secs_f64()))
    .bind(each(jobs, |job| job.policy.max_attempts))
    .bind(each(jobs, |job| job.policy.max_crashes))
    .bind(notify)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(id, created)| Enqueued { id, created }).collect())
}

/// Jobs of one kind, without unique keys, that differ in args, subject and group alone.
///
/// Their ids are made of the database's time and of a tail that comes along: a function call for each would cost a third of
/// the insert. Each gets a `run_at` of its own, a microsecond after the one before it, none later than now where they are due
/// and none earlier than they may be where they are delayed, so that they are claimed in their order and the claim can go on
/// from where it was.
async fn enqueue_alike(
    tx: &mut PgConnection,
    alike: &NewJob,
    jobs: &[NewJob],
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let tails: Vec<Tail> = (0..).zip(jobs).map(|(place, _)| Tail::new(place)).collect();
    let subjects = jobs.iter().any(|job| job.subject.is_some());
    let groups = jobs.iter().any(|job| job.group_key.is_some());
    let milliseconds: i64 = sqlx::query_scalar(
        "-- enqueue_many
         WITH clock AS MATERIALIZED (
             SELECT (date_part('epoch', clock_timestamp()) * 1000)::bigint AS ms
         ), start AS MATERIALIZED (
             SELECT lpad(to_hex(ms), 12, '0') AS head FROM clock
         ), inserted AS (
             INSERT INTO queue.jobs (id, kind, args, subject, group_key, queue, priority, run_at, give_up_at,
                                     give_up_after, max_attempts, max_crashes)
             SELECT (start.head || job.tail)::uuid, $5, job.args, job.subject, job.group_key, $6, $7,
                    now() + make_interval(secs => $8) + (job.place - $12) * interval '1 microsecond',
                    now() + make_interval(secs => $8 + $9), make_interval(secs => $9), $10, $11
               FROM start
              CROSS JOIN ROWS FROM (unnest($1::text[]), unnest($2::jsonb[]), unnest($3::uuid[]), unnest($4::text[]))
                    WITH ORDINALITY AS job (tail, args, subject, group_key, place)
         )
         SELECT ms FROM clock",
    )
    .bind(tails.iter().map(Tail::text).collect::<Vec<_>>())
    .bind(jobs.iter().map(|job| &job.args).collect::<Vec<_>>())
    .bind(subjects.then(|| jobs.iter().map(|job| job.subject).collect::<Vec<_>>()))
    .bind(groups.then(|| jobs.iter().map(|job| job.group_key.as_deref()).collect::<Vec<_>>()))
    .bind(alike.kind)
    .bind(alike.policy.queue)
    .bind(alike.priority)
    .bind(alike.delay.as_secs_f64())
    .bind(alike.policy.give_up_after.as_secs_f64())
    .bind(alike.policy.max_attempts)
    .bind(alike.policy.max_crashes)
    .bind(if alike.delay.is_zero() { i64::try_from(jobs.len()).unwrap_or(i64::MAX) } else { 0 })
    .fetch_one(tx)
    .await?;
    Ok(tails.iter().map(|tail| Enqueued { id: tail.id(milliseconds), created: true }).collect())
}

/// All of a UUID (version 7, RFC 9562) but its 48 bits of time: its place in the batch, then chance.
struct Tail(u128);

impl Tail {
    fn new(place: u32) -> Self {
        let place = u128::from(place);
        let chance = u128::from(rand::random::<u64>());
        // Version 7, 12 bits of the place, variant 2, 20 more bits of the place, 42 bits of chance.
        Self(0x7 << 76 | (place >> 20) << 64 | 0b10 << 62 | (place & 0xF_FFFF) << 42 | chance >> 22)
    }

    fn text(&self) -> String {
        format!("{:020x}", self.0)
    }

    fn id(&self, milliseconds: i64) -> Uuid {
        Uuid::from_u128(u128::from(milliseconds.unsigned_abs()) << 80 | self.0)
    }
}
