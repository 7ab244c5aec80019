//! Trouble of this host that says nothing about the lecture: no space, no tool, no model.
//!
//! A person has to help, and attempts in the meantime prove nothing. So the job waits, which spends no attempt and
//! ends at the job's `give_up_at`.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bedel_queue::JobError;

/// How long a job waits before it looks whether somebody helped.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// Waits for somebody to help this host. `message` is for the student as well as for whoever runs the host.
pub(crate) fn wait(class: &'static str, message: impl Into<String>) -> JobError {
    JobError::wait(class, message, LOOK_AGAIN)
}

/// True where no space is left, or a quota is used up.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// What [`is_disk_full`] means for a job, wherever it was noticed.
pub(crate) fn disk_full() -> JobError {
    wait(
        "disk-full",
        "No disk space is left on the server. This lecture goes on once there is some; if it ends as failed, tell the \
         operators and use retry.",
    )
}
