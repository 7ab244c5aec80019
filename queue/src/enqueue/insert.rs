//! Inserting jobs. A job exists if and only if the caller's transaction commits.

use sqlx::PgConnection;
use uuid::Uuid;

use super::time_ordered_id::IdTail;
use crate::job::new_job::NewJob;

/// The result of an enqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enqueued {
    /// The new job, or the live one that already has the unique key.
    pub id: Uuid,
    /// False if a live job with the same unique key was found instead.
    pub created: bool,
}

/// Enqueues `job` in the caller's transaction. Wake the workers after the commit with
/// [`Queue::wake`](crate::Queue::wake).
///
/// # Errors
/// If the database refuses the insert. In a REPEATABLE READ or SERIALIZABLE transaction also with SQLSTATE 40001
/// (serialization failure), where another transaction enqueued or changed the live job with this unique key since the
/// snapshot: run the transaction again.
pub async fn enqueue(tx: &mut PgConnection, job: &NewJob) -> Result<Enqueued, sqlx::Error> {
    let enqueued = enqueue_many(tx, std::slice::from_ref(job)).await?;
    enqueued.first().copied().ok_or(sqlx::Error::RowNotFound)
}

/// Enqueues `jobs` in the caller's transaction with one statement. Results keep the order of `jobs`. If two
/// have the same unique key, the later finds the earlier. A batch of one kind without unique keys and delays
/// costs least. A few thousand jobs per call is a good size; at most about a gigabyte of args fits.
///
/// # Errors
/// As [`enqueue`]; then no job is enqueued.
pub async fn enqueue_many(tx: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, sqlx::Error> {
    match jobs {
        [] => Ok(Vec::new()),
        [first, rest @ ..] if rest.iter().all(|job| job.is_like(first)) && first.unique_key.is_none() => {
            enqueue_batch(tx, first, jobs).await
        }
        _ => enqueue_each(tx, jobs).await,
    }
}

/// Inserts one by one inside the database, ordered by unique key: two batches with the same keys cannot
/// deadlock.
async fn enqueue_each(tx: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, sqlx::Error> {
    fn each<'a, T>(jobs: &'a [NewJob], get: impl Fn(&'a NewJob) -> T) -> Vec<T> {
        jobs.iter().map(get).collect()
    }
    let rows: Vec<(Uuid, bool)> = sqlx::query_as(include_str!("../../sql/enqueue_each.sql"))
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
        .fetch_all(tx)
        .await?;
    Ok(rows.into_iter().map(|(id, created)| Enqueued { id, created }).collect())
}

/// Inserts jobs of one kind, without unique keys, that differ only in args, subject and group.
///
/// Ids combine the database's time with a tail made here: a function call for each id would cost a third of
/// the insert. Each job gets its own `run_at`, a microsecond after the one before: claims keep the order and
/// can resume where they stopped. Due jobs get none later than now; delayed jobs get none earlier than their
/// delay.
async fn enqueue_batch(
    tx: &mut PgConnection,
    first: &NewJob,
    jobs: &[NewJob],
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let tails: Vec<IdTail> = (0..).zip(jobs).map(|(place, _)| IdTail::new(place)).collect();
    let subjects = jobs.iter().any(|job| job.subject.is_some());
    let groups = jobs.iter().any(|job| job.group_key.is_some());
    let milliseconds: i64 = sqlx::query_scalar(include_str!("../../sql/enqueue_batch.sql"))
        .bind(tails.iter().map(IdTail::text).collect::<Vec<_>>())
        .bind(jobs.iter().map(|job| &job.args).collect::<Vec<_>>())
        .bind(subjects.then(|| jobs.iter().map(|job| job.subject).collect::<Vec<_>>()))
        .bind(groups.then(|| jobs.iter().map(|job| job.group_key.as_deref()).collect::<Vec<_>>()))
        .bind(first.kind)
        .bind(first.policy.queue)
        .bind(first.priority)
        .bind(first.delay.as_secs_f64())
        .bind(first.policy.give_up_after.as_secs_f64())
        .bind(first.policy.max_attempts)
        .bind(first.policy.max_crashes)
        .bind(if first.delay.is_zero() { i64::try_from(jobs.len()).unwrap_or(i64::MAX) } else { 0 })
        .fetch_one(tx)
        .await?;
    Ok(tails.iter().map(|tail| Enqueued { id: tail.id(milliseconds), created: true }).collect())
}
