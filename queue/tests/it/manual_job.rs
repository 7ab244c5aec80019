//! A kind whose attempts are in the test's hands: the test calls what a handler would call and says how the attempt ends.

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, End, Job, JobError, NewJob, Policy, Registry, WorkerOptions};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};

use crate::support::options;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManualJob;

/// A running attempt.
pub struct Turn {
    pub attempt: Attempt,
    outcome: oneshot::Sender<Result<(), JobError>>,
}

impl Turn {
    /// The handler returns. Nothing happens where the worker has dropped it meanwhile.
    pub fn end(self, outcome: Result<(), JobError>) {
        let _ = self.outcome.send(outcome);
    }
}

#[derive(Debug, Clone)]
pub struct ManualContext {
    turns: mpsc::UnboundedSender<Turn>,
}

/// The attempts that were begun.
pub struct Turns(mpsc::UnboundedReceiver<Turn>);

impl Turns {
    pub async fn next(&mut self) -> Turn {
        tokio::time::timeout(Duration::from_secs(20), self.0.recv())
            .await
            .expect("an attempt in time")
            .unwrap()
    }
}

pub fn registry() -> (Registry<ManualContext>, Turns) {
    let (turns, begun) = mpsc::unbounded_channel();
    (Registry::new(ManualContext { turns }).register::<ManualJob>(), Turns(begun))
}

pub fn manual_job() -> NewJob {
    NewJob::new(&ManualJob)
}

pub fn manual_options(slots: usize) -> WorkerOptions {
    WorkerOptions { slots: BTreeMap::from([("manual".to_owned(), slots)]), ..options(0) }
}

impl Job for ManualJob {
    const KIND: &'static str = "manual";
    type Context = ManualContext;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            max_attempts: 3,
            backoff: Backoff { first: Duration::from_millis(50), max: Duration::from_millis(100) },
            timeout: Duration::from_secs(60),
            ..Policy::default()
        }
    }

    async fn run(&self, strings: &ManualContext, attempt: &Attempt) -> Result<(), JobError> {
        let (sender, outcome) = oneshot::channel();
        let turn = Turn { attempt: attempt.clone(), outcome: sender };
        strings.turns.send(turn).map_err(|_| JobError::fatal("alone", "the test is gone"))?;
        outcome.await.unwrap_or_else(|_| Err(JobError::fatal("dropped", "the test dropped the attempt")))
    }

    async fn commit(
        &self,
        _: &ManualContext,
        attempt: &Attempt,
        (): &(),
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        sqlx::query("INSERT INTO effects (job_id, what) VALUES ($1, 'manual:commit')")
            .bind(attempt.job_id)
            .execute(tx)
            .await?;
        Ok(Commit::done())
    }

    async fn ended(_: &ManualContext, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        sqlx::query("INSERT INTO effects (job_id, what) VALUES ($1, 'manual:' || $2)")
            .bind(end.subject)
            .bind(&end.class)
            .execute(tx)
            .await?;
        Ok(Vec::new())
    }
}

/// From now on every row version of a job is noted in `writes`, with the name of the statement that made it.
pub async fn note_writes(pool: &PgPool) {
    sqlx::raw_sql(
        "CREATE TABLE writes (n bigserial, job_id uuid, statement text);
         CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO writes (job_id, statement) VALUES (NEW.id, split_part(current_query(), E'\\n', 1));
             RETURN NULL;
         END $$;
         CREATE TRIGGER note_write AFTER UPDATE ON queue.jobs FOR EACH ROW EXECUTE FUNCTION note_write()",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// From now on each attempt loses its lease in the moment of its claim, as if it had slept past its rescue.
pub async fn lose_leases(pool: &PgPool) {
    sqlx::raw_sql(
        "CREATE FUNCTION lose_lease() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             UPDATE queue.jobs SET lease = gen_random_uuid() WHERE id = NEW.id;
             RETURN NULL;
         END $$;
         CREATE TRIGGER lose_lease AFTER UPDATE ON queue.jobs FOR EACH ROW
             WHEN (OLD.state = 'available' AND NEW.state = 'running') EXECUTE FUNCTION lose_lease()",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// From now on they keep it again.
pub async fn keep_leases(pool: &PgPool) {
    sqlx::raw_sql("DROP TRIGGER lose_lease ON queue.jobs").execute(pool).await.unwrap();
}
