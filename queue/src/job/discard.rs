//! A hook for the discarded jobs of all kinds.

use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use super::new_job::NewJob;

/// A job that is being discarded.
#[derive(Debug, Clone)]
pub struct Discarded {
    /// The job.
    pub job_id: Uuid,
    /// Its kind.
    pub kind: &'static str,
    /// Its subject.
    pub subject: Option<Uuid>,
    /// Stable word for the kind of error.
    pub class: String,
    /// For people; holds no secret.
    pub message: String,
}

/// See [`Registry::on_discard`](crate::Registry::on_discard).
pub type DiscardHook<C> =
    for<'a> fn(&'a C, &'a Discarded, &'a mut PgConnection) -> BoxFuture<'a, Result<Vec<NewJob>, sqlx::Error>>;
