//! A process's own directory for work in progress, locked while the process lives. The next process removes
//! unlocked ones: after a `kill -9` nothing else would.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bedel_jobs::scratch::clean_scratch;
use bedel_storage::create_private_dir;
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

const LOCK: &str = "lock";

/// The directory and its lock. Dropping it removes the directory.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Creates a directory in `base` for this process and removes those of dead processes.
    ///
    /// # Errors
    /// If `base` is not writable.
    pub fn claim(base: &Path) -> io::Result<Self> {
        create_private_dir(base)?;
        // Between creating a directory and locking it, no other process may scan.
        let gate = File::create(base.join(LOCK))?;
        flock(&gate, FlockOperation::LockExclusive)?;
        for entry in std::fs::read_dir(base)? {
            let path = entry?.path();
            if path.is_dir() && is_left_behind(&path) {
                match clean_scratch(&path).and_then(|_| std::fs::remove_dir(&path)) {
                    Ok(()) => tracing::info!("removed scratch of a dead process: {}", path.display()),
                    Err(error) => tracing::warn!("scratch {} could not be removed: {error}", path.display()),
                }
            }
        }
        let path = base.join(format!("{}-{}", std::process::id(), Uuid::new_v4().simple()));
        create_private_dir(&path)?;
        let lock = File::create(path.join(LOCK))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!("scratch {} could not be removed: {error}", self.path.display());
        }
    }
}

/// True for a directory of a dead process. A directory without our lock file is foreign and stays.
fn is_left_behind(path: &Path) -> bool {
    File::open(path.join(LOCK))
        .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_directories_of_dead_processes_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let alive = Scratch::claim(base.path()).unwrap();
        let dead = base.path().join("1-dead");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(LOCK), "").unwrap();
        let foreign = base.path().join("holiday-pictures");
        std::fs::create_dir(&foreign).unwrap();
        let second = Scratch::claim(base.path()).unwrap();
        assert!(alive.path().exists() && second.path().exists() && foreign.exists());
        assert!(!dead.exists(), "its process is gone");
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn scratch_is_private() {
        let data = tempfile::tempdir().unwrap();
        let base = data.path().join("data/scratch");
        let scratch = Scratch::claim(&base).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&base), mode(scratch.path())), (0o700, 0o700));
        std::fs::create_dir(data.path().join("plain")).unwrap();
        let plain = mode(&data.path().join("plain"));
        assert_eq!(mode(&data.path().join("data")), plain, "others have their data there");
    }
}
