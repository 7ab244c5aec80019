//! Lectures are submitted, linked, unlinked, deleted, retried and committed at the same time: the lock order
//! (the lecture, then its jobs) holds, and the final rows are consistent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bedel_jobs::environment::Context;
use bedel_jobs::lecture::submission::{Submission, SubmitError, submit};
use bedel_jobs::lecture::{removal, retry};
use bedel_queue::{Queue, WorkerOptions, run_worker};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::doubles;
use crate::error::FaultsError;
use crate::report::Outcome;
use crate::round::{Pace, Round};
use crate::suite::Suite;

/// Lectures per round: few, so that operations meet.
const LECTURES: usize = 3;
/// Users who submit and unlink.
const USERS: usize = 3;
/// Concurrent tasks, and operations of each in a round.
const TASKS: usize = 6;
const OPERATIONS: usize = 12;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("lectures", suite.rounds(20, 200), 4, async |round, _| one(round).await).await
}

/// One operation of a user.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Submit,
    Unlink,
    Delete,
    Retry,
}

#[derive(Debug, Clone, Copy)]
struct Planned {
    operation: Operation,
    session: Uuid,
    user: Uuid,
    pause: Duration,
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    let pool = PgPoolOptions::new().max_connections(14).connect(&round.url).await?;
    let registry = doubles::registry(pool.clone(), &round.directory)?;
    let context = registry.context().clone();
    let stop = CancellationToken::new();
    let options = WorkerOptions {
        slots: registry.kinds().into_iter().map(|kind| (kind.to_owned(), 2)).collect::<BTreeMap<_, _>>(),
        beat: Pace::QUICK.beat,
        dead_after: Pace::QUICK.dead_after,
        poll: Duration::from_millis(20),
        drain: Duration::from_secs(5),
        ..WorkerOptions::default()
    };
    let queue = Queue::new(pool.clone());
    let worker = tokio::spawn(run_worker(queue.clone(), registry, options, stop.clone()));

    let (sessions, users) = ([(); LECTURES].map(|()| Uuid::new_v4()), [(); USERS].map(|()| Uuid::new_v4()));
    let course = Uuid::new_v4();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let planned: Vec<Planned> = (0..OPERATIONS)
            .map(|_| Planned {
                operation: [
                    Operation::Submit,
                    Operation::Submit,
                    Operation::Unlink,
                    Operation::Delete,
                    Operation::Retry,
                    Operation::Retry,
                ][round.plan.index(6)],
                session: sessions[round.plan.index(LECTURES)],
                user: users[round.plan.index(USERS)],
                pause: round.plan.millis(0, 8),
            })
            .collect();
        let (pool, queue, context) = (pool.clone(), queue.clone(), Arc::clone(&context));
        tasks.spawn(async move {
            let mut refused = Vec::new();
            for planned in planned {
                tokio::time::sleep(planned.pause).await;
                if let Err(error) = operate(&pool, &context, course, planned).await {
                    refused.push(format!("{:?}: {error}", planned.operation));
                }
                queue.wake();
                queue.announce_cancellation();
            }
            refused
        });
    }
    let mut refused = Vec::new();
    while let Some(task) = tasks.join_next().await {
        refused.extend(task.map_err(|error| FaultsError::Setup(error.to_string()))?);
    }
    // No worker here runs the clean-up jobs of deletions.
    let stages = async || {
        let live: i64 = sqlx::query_scalar(
            "-- lectures::live
             SELECT count(*) FROM queue.jobs WHERE state IN ('available', 'running') AND kind <> 'cleanup-orphans'",
        )
        .fetch_one(&round.pool)
        .await?;
        Ok(live == 0)
    };
    let _ = round.until("every stage is final", Duration::from_secs(30), stages).await;
    stop.cancel();
    worker.await.map_err(|error| FaultsError::Setup(error.to_string()))??;
    pool.close().await;

    let mut outcome = read(&round).await?;
    refused.into_iter().for_each(|error| outcome.stuck(error));
    Ok(outcome)
}

async fn operate(
    pool: &PgPool,
    context: &Context,
    course: Uuid,
    planned: Planned,
) -> Result<(), FaultsError> {
    let Planned { operation, session, user, .. } = planned;
    let mut tx = pool.begin().await?;
    let lecture: Option<Uuid> = sqlx::query_scalar(
        "-- lectures::find
         SELECT id FROM lectures WHERE course_id = $1 AND panopto_session_id = $2",
    )
    .bind(course)
    .bind(session.to_string())
    .fetch_optional(&mut *tx)
    .await?;
    match (operation, lecture) {
        (Operation::Submit, _) => {
            let submission = Submission {
                course_id: course,
                panopto_url: format!(
                    "https://example.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={session}"
                ),
                stream_url: Some("https://media.example.com/stream.mp4".to_owned()),
                ..Submission::default()
            };
            match submit(&mut tx, &context.settings, user, submission).await {
                Ok(_) => {}
                Err(SubmitError::Database(error)) => return Err(error.into()),
                Err(SubmitError::Invalid(fields)) => return Err(FaultsError::Setup(format!("{fields:?}"))),
            }
        }
        (_, None) => {}
        (Operation::Unlink, Some(id)) => drop(removal::unlink(&mut tx, user, id).await?),
        (Operation::Delete, Some(id)) => drop(removal::delete(&mut tx, id).await?),
        (Operation::Retry, Some(id)) => drop(retry::retry(&mut tx, &context.settings, None, id).await?),
    }
    tx.commit().await?;
    Ok(())
}

#[derive(Debug, sqlx::FromRow)]
struct Read {
    deadlocks: i64,
    jobs: i64,
    live: i64,
    undecided: i64,
    unlinked: i64,
    errors: i64,
    crashes: i64,
    twice: i64,
}

async fn read(round: &Round) -> Result<Outcome, FaultsError> {
    let read: Read = sqlx::query_as(
        "-- lectures::read
         SELECT (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) AS deadlocks,
                (SELECT count(*) FROM queue.jobs) AS jobs,
                (SELECT count(*) FROM queue.jobs
                  WHERE kind <> 'cleanup-orphans' AND state IN ('available', 'running')) AS live,
                (SELECT count(*) FROM lectures WHERE status NOT IN ('completed', 'failed')) AS undecided,
                (SELECT count(*) FROM lectures AS l
                  WHERE NOT EXISTS (SELECT FROM user_lectures WHERE lecture_id = l.id)) AS unlinked,
                (SELECT count(*) FROM queue.failed_attempts WHERE class <> 'planned') AS errors,
                (SELECT coalesce(sum(crashes), 0)::bigint FROM queue.jobs) AS crashes,
                (SELECT count(*) FROM (SELECT FROM queue.jobs WHERE kind = 'transcribe' AND state = 'completed'
                                        GROUP BY subject HAVING count(*) > 1) AS t) AS twice",
    )
    .fetch_one(&round.pool)
    .await?;
    let mut outcome = Outcome {
        rounds: 1,
        faults: TASKS * OPERATIONS,
        jobs: usize::try_from(read.jobs).unwrap_or(0),
        ..Outcome::default()
    };
    if read.deadlocks > 0 || read.live > 0 {
        outcome.stuck(format!("{read:?}"));
    }
    if read.undecided > 0 || read.unlinked > 0 {
        outcome.lost(format!("lectures without an end or without anybody: {read:?}"));
    }
    if read.twice > 0 {
        outcome.doubled(format!("lectures transcribed twice: {read:?}"));
    }
    if read.errors > 0 || read.crashes > 0 {
        outcome.over_budget(format!("{read:?}"));
    }
    Ok(outcome)
}
