//! What the stages of the pipeline share: working directories, the stored audio as a local file, and the removal of
//! what older leases left.

use std::path::{Path, PathBuf};

use bedel_queue::{Attempt, JobError};
use bedel_storage::StorageError;
use bedel_storage::keys::{self, Class};
use uuid::Uuid;

use crate::environment::Environment;

/// The `stream_url` of a lecture whose recording a client uploaded: it cannot be fetched again.
pub const UPLOADED: &str = "audio_podcast";

/// A directory for one attempt's work in progress, removed when the attempt ends, however it ends. What a killed process
/// leaves is removed when the next one starts.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
}

impl Scratch {
    pub(crate) async fn create(root: &Path, lease: Uuid) -> Result<Self, JobError> {
        let scratch = Self { path: root.join(lease.to_string()) };
        tokio::fs::create_dir_all(&scratch.path).await.map_err(|error| JobError::local_disk(&error))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "a scratch directory could not be removed");
        }
    }
}

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
