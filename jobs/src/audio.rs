//! The stored audio of a lecture as a local file, and the removal of older leases' objects.

use std::path::PathBuf;

use bedel_queue::{Attempt, JobError};
use bedel_storage::StorageError;
use bedel_storage::keys::{self, Class};
use uuid::Uuid;

use crate::environment::Environment;
use crate::scratch::Scratch;

/// Deletes the temporary objects of older leases, including unfinished writes. A client's upload stays: it
/// cannot be fetched again.
///
/// The lease is checked after the listing and before the first deletion. A rescued attempt therefore deletes
/// nothing, even if its listing shows a newer lease's objects. Objects that a newer lease writes after the
/// check are not listed.
pub(crate) async fn remove_leftovers(
    ctx: &Environment,
    attempt: &Attempt,
    lecture_id: Uuid,
) -> Result<(), JobError> {
    let mut listed = ctx.storage.list(&keys::audio_temp_prefix(lecture_id)).await?;
    listed.retain(|stored| keys::parse(&stored.key).is_some_and(|key| key.class == Class::Temporary));
    attempt.check_lease().await?;
    for stored in listed {
        ctx.storage.delete_listed(&stored).await?;
    }
    Ok(())
}

/// The stored audio as a local file: in place if possible, else a copy in `scratch`. A file in place can be
/// deleted before a tool opens it; the caller reports that as [`audio_missing`] too.
pub(crate) async fn stored_audio(
    ctx: &Environment,
    key: &str,
    scratch: &Scratch,
) -> Result<PathBuf, JobError> {
    if let Some(path) = ctx.storage.local_path(key) {
        return Ok(path);
    }
    let copy = scratch.path.join("audio.m4a");
    match ctx.storage.get_file(key, &copy).await {
        Err(StorageError::Missing { .. }) => Err(audio_missing()),
        copied => Ok(copied.map(|()| copy)?),
    }
}

/// The error for audio that is no longer stored. A retry downloads it again.
pub(crate) fn audio_missing() -> JobError {
    JobError::fatal(
        "audio-missing",
        "The stored audio of this lecture is gone. Use retry to download it again.",
    )
}
