//! Local directories for work in progress.

use std::io;
use std::path::{Path, PathBuf};

use bedel_queue::JobError;
use uuid::Uuid;

/// A directory for one attempt's work in progress, removed on drop. The next process start removes the
/// directories of a killed process.
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
            tracing::warn!(%error, "removing a scratch directory failed");
        }
    }
}

/// Empties a process's scratch directory at start, before anything uses it. Creates it if it is missing.
/// Returns the number of removed entries. Blocks.
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
