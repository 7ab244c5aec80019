//! Local directories for work in progress.

use std::io;
use std::path::{Path, PathBuf};

use bedel_queue::JobError;
use uuid::Uuid;

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

/// Empties a process's own scratch directory, at its start: nothing in it is in use then. Creates it where it is missing.
/// Returns how many entries were removed. Blocks.
///
/// # Errors
/// The file system's.
pub fn clean_scratch(dir: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let mut removed = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
        removed += 1;
    }
    Ok(removed)
}
