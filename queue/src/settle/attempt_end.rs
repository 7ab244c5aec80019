//! How a plain attempt ended.

use uuid::Uuid;

use crate::fence::{Completed, Failed};

/// How an attempt ended.
#[derive(Debug, Clone)]
pub(crate) enum AttemptEnd {
    Completed(Completed),
    Failed(Failed),
}

impl AttemptEnd {
    /// Job and lease.
    pub(super) fn ids(&self) -> (Uuid, Uuid) {
        match self {
            Self::Completed(Completed { job_id, lease, .. }) | Self::Failed(Failed { job_id, lease, .. }) => {
                (*job_id, *lease)
            }
        }
    }
}
