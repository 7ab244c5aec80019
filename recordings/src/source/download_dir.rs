//! The directory of a lecture's download. It outlives the attempt, so the next attempt on this host resumes.
//!
//! `ROOT/LECTURE/LEASE/` has a file `lock`, held by its attempt and by each write in flight. An attempt takes over an unlocked
//! directory by renaming it to its own lease. A locked directory is left alone, even of a process that stands still: it may wake
//! up and write. The next attempt then starts another one beside it.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bedel_queue::JobError;
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

/// Age at which an abandoned directory is removed: longer than a stage may wait and retry.
const MAX_AGE: Duration = Duration::from_secs(25 * 3600);

const LOCK: &str = "lock";

/// The directory of one attempt, locked.
#[derive(Debug)]
pub struct DownloadDir {
    path: PathBuf,
    lock: Arc<File>,
}

impl DownloadDir {
    /// Takes over the largest abandoned directory of this lecture on this host, or makes a new one. Removes directories of all lectures
    /// that are abandoned for 25 hours, and the oldest abandoned ones while all of them have more than `limit` bytes.
    ///
    /// # Errors
    /// The disk's; `scratch-full` where running downloads alone have more than `limit` bytes.
    pub async fn open(root: &Path, lecture_id: Uuid, lease: Uuid, limit: u64) -> Result<Self, JobError> {
        let root = root.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let dir = take_over(&root, lecture_id, lease)?;
            let total = sweep(&root, limit)?;
            Ok((total <= limit).then_some(dir))
        });
        match opened.await.map_err(io::Error::from).flatten() {
            Ok(Some(dir)) => Ok(dir),
            Ok(None) => Err(JobError::host_fault(
                "scratch-full",
                "The downloads of this server have no room at the moment. This lecture resumes once there is some. If it \
                 ends as failed, tell the operators and use retry.",
            )),
            Err(error) => Err(JobError::local_disk(&error)),
        }
    }

    /// A directory in it, for one of several streams. It shares the lock.
    ///
    /// # Errors
    /// The disk's.
    pub fn sub_directory(&self, name: &str) -> io::Result<Self> {
        let path = self.path.join(name);
        create_private_dir(&path)?;
        Ok(Self { path, lock: Arc::clone(&self.lock) })
    }

    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The lock. Each write in the directory keeps it.
    pub fn lock(&self) -> &Arc<File> {
        &self.lock
    }

    /// Removes the directory.
    pub async fn remove(self) {
        let removed = tokio::task::spawn_blocking(move || {
            let removed = std::fs::remove_dir_all(&self.path);
            remove_if_empty(self.path.parent());
            removed
        });
        if let Err(error) = removed.await.map_err(io::Error::from).flatten() {
            tracing::warn!(%error, "the directory of a download could not be removed; a later one removes it");
        }
    }
}

/// The lectures with a download on this host, running or abandoned. Blocks.
///
/// # Errors
/// The disk's.
pub fn lectures(root: &Path) -> io::Result<Vec<Uuid>> {
    let id = |path: PathBuf| path.file_name()?.to_str()?.parse().ok();
    Ok(directories(root)?.into_iter().filter_map(id).collect())
}

/// Removes the abandoned downloads of these lectures. Running ones stay. Blocks.
///
/// # Errors
/// The disk's.
pub fn remove_lectures(root: &Path, lectures: &[Uuid]) -> io::Result<()> {
    for lecture in lectures {
        let directory = root.join(lecture.to_string());
        for path in directories(&directory)? {
            if let Some(_lock) = lock_abandoned(&path) {
                std::fs::remove_dir_all(&path)?;
            }
        }
        remove_if_empty(Some(&directory));
    }
    Ok(())
}

/// Locks the largest abandoned directory of the lecture and renames it to this lease.
fn take_over(root: &Path, lecture_id: Uuid, lease: Uuid) -> io::Result<DownloadDir> {
    let directory = root.join(lecture_id.to_string());
    create_private_dir(root)?;
    create_private_dir(&directory)?;
    let path = directory.join(lease.to_string());
    let found = directories(&directory)?.into_iter();
    let mut abandoned: Vec<_> =
        found.filter_map(|path| Some((size(&path), lock_abandoned(&path)?, path))).collect();
    abandoned.sort_by_key(|(bytes, ..)| *bytes);
    let largest = abandoned.pop();
    // Another process may have removed one already.
    abandoned.iter().for_each(|(_, _, path)| drop(std::fs::remove_dir_all(path)));
    let lock = match largest {
        Some((_, lock, old_path)) => {
            std::fs::rename(old_path, &path)?;
            lock
        }
        None => {
            create_private_dir(&path)?;
            // Locked before it gets its name, so no other process can lock it first.
            let new = path.join("lock.new");
            let lock = File::create(&new)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            std::fs::rename(new, path.join(LOCK))?;
            lock
        }
    };
    // Its time is the start of the age if this attempt ends.
    lock.set_len(0)?;
    (&lock).write_all(lease.to_string().as_bytes())?;
    Ok(DownloadDir { path, lock: Arc::new(lock) })
}

/// Removes directories that are abandoned too long, then the oldest abandoned ones until there is room. Returns the bytes of the
/// others.
///
/// Locks only what it removes, so an attempt can take over the rest meanwhile.
fn sweep(root: &Path, limit: u64) -> io::Result<u64> {
    let clock = clock(root)?;
    let mut found = Vec::new();
    for lecture in directories(root)? {
        found.extend(directories(&lecture)?.into_iter().map(|path| (age(&path, clock), size(&path), path)));
    }
    let mut total = found.iter().map(|(_, bytes, _)| bytes).sum();
    found.sort_by_key(|(age, ..)| std::cmp::Reverse(*age));
    for (age, bytes, path) in found {
        if (age > MAX_AGE || total > limit)
            && let Some(_lock) = lock_abandoned(&path)
        {
            total -= bytes.min(total);
            match std::fs::remove_dir_all(&path) {
                Ok(()) => tracing::info!(bytes, "removed an abandoned download"),
                Err(error) => tracing::warn!(%error, "an abandoned download could not be removed"),
            }
            remove_if_empty(path.parent());
        }
    }
    Ok(total)
}

/// Locks an abandoned directory. `None` where it is locked, or was removed or renamed meanwhile.
fn lock_abandoned(path: &Path) -> Option<File> {
    let lock = File::options().read(true).write(true).open(path.join(LOCK)).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    path.join(LOCK).exists().then_some(lock)
}

/// Time since an attempt took over the directory.
fn age(path: &Path, clock: SystemTime) -> Duration {
    let taken = std::fs::metadata(path.join(LOCK)).and_then(|metadata| metadata.modified());
    taken.ok().and_then(|taken| clock.duration_since(taken).ok()).unwrap_or_default()
}

/// The time by the clock of the file system.
fn clock(root: &Path) -> io::Result<SystemTime> {
    let path = root.join("clock");
    std::fs::write(&path, b".")?;
    std::fs::metadata(&path)?.modified()
}

/// The directories in this one. None where it was removed: other downloads end meanwhile.
fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.flatten(),
    };
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}

/// Bytes of the files below. Files removed meanwhile do not count.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Makes a directory for this user alone. One that exists stays as it is.
fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Keeps a directory that is not empty.
fn remove_if_empty(path: Option<&Path>) {
    if let Some(path) = path {
        let _ = std::fs::remove_dir(path);
    }
}

#[cfg(test)]
mod tests;
