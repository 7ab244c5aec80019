//! The statements that write a batch of ends.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::attempt_end::AttemptEnd;
use crate::database_retry::{DATABASE_RETRY_PAUSE, STEP_TIMEOUT};
use crate::dedicated_connection::answered;
use crate::error::{is_passing, is_self_inflicted};
use crate::fence::{self, Failed};
use crate::stale::note_stale;

/// Pause of a job whose end the database refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// What became of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is in the row, or the row says that it failed.
    Written,
    /// The attempt had lost its lease.
    Lost,
    /// Its row is locked.
    Locked,
    /// The database refuses it, and refuses to write that the attempt failed.
    Abandoned,
}

/// Writes the ends, ordered by job. Returns what became of each, in their order. `skips`: locked rows are passed over at
/// once; otherwise only after a lock timeout.
pub(super) async fn write(pool: &PgPool, ends: &[&AttemptEnd], skips: bool) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(ends.len());
    // Parts not written yet, the first one last.
    let mut parts = vec![(ends, skips)];
    while let Some((part, skips)) = parts.pop() {
        match write_retrying(pool, part, skips).await {
            Ok(written) => outcomes.extend(written),
            Err(error) if is_self_inflicted(&error) && !skips => parts.push((part, true)),
            Err(error) => match part {
                [end] if is_self_inflicted(&error) && !matches!(error, sqlx::Error::Protocol(_)) => {
                    tracing::warn!(%error, job = %end.ids().0, "an attempt's end timed out");
                    outcomes.push(Outcome::Locked);
                }
                [end] => outcomes.push(fail_refused(pool, end, &error).await),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([(second, skips), (first, skips)]);
                }
            },
        }
    }
    outcomes
}

/// The database refused the end: the attempt fails and spends a budget, so that the job cannot loop for ever.
async fn fail_refused(pool: &PgPool, end: &AttemptEnd, error: &sqlx::Error) -> Outcome {
    let (job_id, lease) = end.ids();
    tracing::error!(%error, job = %job_id, "the database refused an attempt's end");
    let failed = AttemptEnd::Failed(Failed {
        job_id,
        lease,
        class: "refused".to_owned(),
        message: "the database refused to write this attempt's end".to_owned(),
        spent: 1,
        delay: REFUSED_PAUSE,
        last: false,
    });
    match write_retrying(pool, &[&failed], true).await {
        Ok(outcome) => outcome.first().copied().unwrap_or(Outcome::Lost),
        Err(error) => {
            tracing::error!(%error, %job_id, "the failure was refused too; the heartbeat will release the job");
            Outcome::Abandoned
        }
    }
}

/// Repeats the write while the database is away. A repeat after a lost answer changes nothing: a job that ended under
/// its lease no longer runs.
async fn write_retrying(
    pool: &PgPool,
    ends: &[&AttemptEnd],
    skips: bool,
) -> Result<Vec<Outcome>, sqlx::Error> {
    loop {
        match write_once(pool, ends, skips).await {
            Err(error) if is_passing(&error) && !is_self_inflicted(&error) => {
                note_stale(&error);
                tracing::warn!(%error, attempts = ends.len(), "database away; the attempts' ends wait");
                tokio::time::sleep(DATABASE_RETRY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn write_once(pool: &PgPool, ends: &[&AttemptEnd], skips: bool) -> Result<Vec<Outcome>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let write = async {
        if skips {
            write_unlocked(&mut connection, ends).await
        } else {
            write_all(&mut connection, ends).await
        }
    };
    let answer = tokio::time::timeout(STEP_TIMEOUT, write).await;
    answered(connection, answer)
}

/// One statement for completions and one for failures.
async fn write_all(connection: &mut PgConnection, ends: &[&AttemptEnd]) -> Result<Vec<Outcome>, sqlx::Error> {
    let (mut completed, mut failed) = (Vec::with_capacity(ends.len()), Vec::new());
    for end in ends {
        match end {
            AttemptEnd::Completed(attempt) => completed.push(attempt.clone()),
            AttemptEnd::Failed(attempt) => failed.push(attempt.clone()),
        }
    }
    let mut written = 0;
    if !completed.is_empty() {
        written += fence::complete(&mut *connection, &completed).await?;
    }
    let mut settled = Vec::new();
    if !failed.is_empty() {
        settled = fence::fail(&mut *connection, &failed).await?;
        written += settled.len() as u64;
        let discarded = settled.iter().filter(|(_, discarded)| *discarded).count();
        if discarded > 0 {
            tracing::warn!(discarded, "jobs discarded");
        }
    }
    let lost = (ends.len() as u64).saturating_sub(written);
    if lost == 0 {
        return Ok(vec![Outcome::Written; ends.len()]);
    }
    tracing::warn!(lost, "leases lost; nothing of these attempts is written");
    let mut leases: HashSet<Uuid> = fence::ended(connection, ends.iter().map(|end| end.ids())).await?;
    leases.extend(settled.into_iter().map(|(lease, _)| lease));
    Ok(ends
        .iter()
        .map(|end| if leases.contains(&end.ids().1) { Outcome::Written } else { Outcome::Lost })
        .collect())
}

/// As `write_all`, but without the rows that are locked.
async fn write_unlocked(
    connection: &mut PgConnection,
    ends: &[&AttemptEnd],
) -> Result<Vec<Outcome>, sqlx::Error> {
    let mut tx = connection.begin().await?;
    let ids = || ends.iter().map(|end| end.ids());
    let free = fence::lock_free(&mut tx, ids()).await?;
    let (mut held, mut ended) = (HashSet::new(), HashSet::new());
    if free.len() < ends.len() {
        held = fence::held(&mut tx, ids()).await?;
        // An earlier try wrote a part of the batch.
        ended = fence::ended(&mut tx, ids()).await?;
    }
    let unlocked: Vec<&AttemptEnd> = ends.iter().copied().filter(|end| free.contains(&end.ids().1)).collect();
    if !unlocked.is_empty() {
        write_all(&mut tx, &unlocked).await?;
    }
    tx.commit().await?;
    Ok(ends
        .iter()
        .map(|end| match end.ids().1 {
            lease if free.contains(&lease) || ended.contains(&lease) => Outcome::Written,
            lease if held.contains(&lease) => Outcome::Locked,
            _ => Outcome::Lost,
        })
        .collect())
}
