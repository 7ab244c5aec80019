//! Faults of the host that say nothing about the job: no disk space, no program, no model.
//!
//! An operator has to fix the host, and attempts until then prove nothing. So the job waits, which spends no budget
//! and ends at `give_up_at`.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::error::JobError;

impl JobError {
    /// Pause between two looks at a host with a fault.
    pub const HOST_FAULT_PAUSE: Duration = Duration::from_secs(300);

    /// Waits for an operator to fix this host. `message` is for the user as well as for the operator.
    pub fn host_fault(class: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::wait(class, message, Self::HOST_FAULT_PAUSE)
    }

    /// The local disk failed: waits as `disk-full` where no space is left, else retries as `disk`.
    #[must_use]
    pub fn local_disk(error: &io::Error) -> Self {
        if Self::is_disk_full(error) {
            return Self::disk_full();
        }
        Self::retry("disk", format!("The local disk could not be used ({}).", error.kind()))
    }

    /// No disk space is left, wherever it was noticed.
    #[must_use]
    pub fn disk_full() -> Self {
        Self::host_fault(
            "disk-full",
            "No disk space is left on the server. The job resumes once there is some. If it ends as failed, tell the \
             operators and use retry.",
        )
    }

    /// True where no space is left or a quota is used up.
    #[must_use]
    pub fn is_disk_full(error: &io::Error) -> bool {
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }
}
