//! Visits under other terms: in a hurry, and without rows of their own.

use std::time::Duration;

use bedel_queue::{Attempt, Commit, End, Failure, Job, JobError, NewJob, Policy};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{Touch, Visit};

/// A visit that may take one second and is tried twice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hasty(pub Visit);

impl Job for Hasty {
    const KIND: &'static str = "hasty";
    type Context = Touch;
    type Output = ();

    fn policy() -> Policy {
        Policy { timeout: Duration::from_secs(1), max_attempts: 2, ..Visit::policy() }
    }

    async fn begin(&self, touch: &Touch, attempt: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        self.0.begin(touch, attempt, tx).await
    }

    async fn run(&self, touch: &Touch, attempt: &Attempt) -> Result<(), JobError> {
        self.0.run(touch, attempt).await
    }

    async fn commit(
        &self,
        touch: &Touch,
        attempt: &Attempt,
        output: &(),
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        self.0.commit(touch, attempt, output, tx).await
    }

    async fn attempt_failed(
        touch: &Touch,
        failure: &Failure,
        tx: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        Visit::attempt_failed(touch, failure, tx).await
    }

    async fn ended(touch: &Touch, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        Visit::ended(touch, end, tx).await
    }
}

/// A visit that writes no rows of its own: no hook, no successor, settled together with others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Errand(pub Visit);

impl Job for Errand {
    const KIND: &'static str = "errand";
    type Context = Touch;
    type Output = ();

    fn policy() -> Policy {
        Visit::policy()
    }

    async fn run(&self, touch: &Touch, attempt: &Attempt) -> Result<(), JobError> {
        Job::run(&self.0, touch, attempt).await
    }
}
