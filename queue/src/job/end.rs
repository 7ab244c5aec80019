//! How attempts and jobs end, as hooks see it.

use serde_json::Value;
use uuid::Uuid;

use super::new_job::NewJob;

/// How a successful attempt ends.
#[derive(Debug, Default)]
pub struct Commit {
    pub(crate) result: Option<Value>,
    pub(crate) next: Vec<NewJob>,
    pub(crate) cancelled: Option<String>,
}

impl Commit {
    /// The job is completed.
    #[must_use]
    pub fn done() -> Self {
        Self::default()
    }

    /// Enqueues `job` in the same transaction, after this job has ended.
    #[must_use]
    pub fn then(mut self, job: NewJob) -> Self {
        self.next.push(job);
        self
    }

    /// Stores a result in the job's row.
    #[must_use]
    pub fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    /// Ends the job as cancelled: its subject is gone. The `ended` hook does not run.
    #[must_use]
    pub fn cancelled(reason: impl Into<String>) -> Self {
        Self { cancelled: Some(reason.into()), ..Self::default() }
    }
}

/// A failed or waiting attempt whose job will run again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The job's subject.
    pub subject: Option<Uuid>,
    /// Stable word for the kind of error, such as `network`.
    pub class: String,
    /// For people; holds no secret.
    pub message: String,
}

/// The end of a job that did not complete.
#[derive(Debug, Clone)]
pub struct End {
    /// The job's subject.
    pub subject: Option<Uuid>,
    /// True if a person or a deletion stopped it; false if it was discarded.
    pub cancelled: bool,
    /// Stable word for the kind of error, such as `network`, `crashed`, `undecodable`, `cancelled`.
    pub class: String,
    /// For people; holds no secret.
    pub message: String,
}
