//! The stored audio of a lecture: as a local file, and without what older leases left.

use std::path::PathBuf;

use bedel_queue::{Attempt, JobError};
use bedel_storage::StorageError;
use bedel_storage::keys::{self, Class};
use uuid::Uuid;

use crate::environment::Environment;
use crate::scratch::Scratch;

/// Deletes the temporary objects of older leases, writes that were cut off included. What a client uploaded stays: it
/// cannot be fetched again.
///
/// The lease is checked after the listing and before the first deletion. An attempt that was rescued while it stood
/// still therefore deletes nothing: what it lists may be a newer lease's, and what a newer lease writes after a check
/// that held is not on the list.
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

/// The stored audio as a local file: where it is, or a copy in `scratch`. A file in place may be gone by the time a
/// tool opens it, which the caller tells as [`audio_missing`] too.
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

/// The lecture's audio is not stored any more. A retry begins with a new download.
pub(crate) fn audio_missing() -> JobError {
    JobError::fatal(
        "audio-missing",
        "The stored audio of this lecture is gone. Use retry to download it again.",
    )
}
