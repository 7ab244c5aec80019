//! Where a lecture's download is put together: a directory that outlives the attempt, so that the next one on this host
//! goes on from what is there.
//!
//! `ROOT/LECTURE/LEASE/`, with a file `lock` in it that its attempt holds, and with it everything that still writes. An
//! attempt takes over what nobody holds any more, by giving it its own name. What a process that stands still holds is not
//! touched: it may wake up and write. The next attempt then begins anew beside it.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bedel_queue::JobError;
use rustix::fs::{FlockOperation, flock};
use uuid::Uuid;

/// What nobody came back for in this time is removed: longer than a stage may wait and retry.
const KEPT: Duration = Duration::from_secs(25 * 3600);

const LOCK: &str = "lock";

/// The directory of one attempt, locked.
#[derive(Debug)]
pub struct DownloadDir {
    path: PathBuf,
    lock: Arc<File>,
}

impl DownloadDir {
    /// Takes over what an earlier attempt of this lecture left on this host, or makes a new directory. Removes what was left
    /// for too long by whatever lecture, and what was left longest while there is more than `limit` bytes in all.
    ///
    /// # Errors
    /// The disk's; `scratch-full` where running downloads alone fill more than `limit` bytes.
    pub async fn open(root: &Path, lecture_id: Uuid, lease: Uuid, limit: u64) -> Result<Self, JobError> {
        let root = root.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let taken = take_over(&root, lecture_id, lease)?;
            let others = sweep(&root, limit)?;
            Ok((others <= limit).then_some(taken))
        });
        match opened.await.map_err(io::Error::from).flatten() {
            Ok(Some(workplace)) => Ok(workplace),
            Ok(None) => Err(JobError::host_fault(
                "scratch-full",
                "The downloads of this server have no room at the moment. This lecture goes on once there is some; if it \
                 ends as failed, tell the operators and use retry.",
            )),
            Err(error) => Err(JobError::local_disk(&error)),
        }
    }

    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Kept by everything that writes in it.
    pub fn lock(&self) -> &Arc<File> {
        &self.lock
    }

    /// Removes it: what is in it is of no use to anybody.
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

/// The lectures that something is left of, or under way for, on this host. Blocks.
pub fn lectures(root: &Path) -> io::Result<Vec<Uuid>> {
    let id = |path: PathBuf| path.file_name()?.to_str()?.parse().ok();
    Ok(directories(root)?.into_iter().filter_map(id).collect())
}

/// Removes what was left of these lectures' downloads. What is under way stays. Blocks.
pub fn remove_lectures(root: &Path, lectures: &[Uuid]) -> io::Result<()> {
    for lecture in lectures {
        let directory = root.join(lecture.to_string());
        for path in directories(&directory)? {
            if let Some(_lock) = lock_left(&path) {
                std::fs::remove_dir_all(&path)?;
            }
        }
        remove_if_empty(Some(&directory));
    }
    Ok(())
}

/// Locks the best of what earlier attempts left and names it after this one.
fn take_over(root: &Path, lecture_id: Uuid, lease: Uuid) -> io::Result<DownloadDir> {
    let directory = root.join(lecture_id.to_string());
    create_private_dir(root)?;
    create_private_dir(&directory)?;
    let path = directory.join(lease.to_string());
    let left = directories(&directory)?.into_iter();
    let mut left: Vec<_> = left.filter_map(|path| Some((size(&path), lock_left(&path)?, path))).collect();
    left.sort_by_key(|(bytes, ..)| *bytes);
    let best = left.pop();
    // One that is gone already is as good.
    left.iter().for_each(|(_, _, path)| drop(std::fs::remove_dir_all(path)));
    let lock = match best {
        Some((_, lock, left)) => {
            std::fs::rename(left, &path)?;
            lock
        }
        None => {
            create_private_dir(&path)?;
            // Locked before it has the name that others look for: nobody can be first.
            let new = path.join("lock.new");
            let lock = File::create(&new)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            std::fs::rename(new, path.join(LOCK))?;
            lock
        }
    };
    // Its time says since when it is left, should this attempt end.
    lock.set_len(0)?;
    (&lock).write_all(lease.to_string().as_bytes())?;
    Ok(DownloadDir { path, lock: Arc::new(lock) })
}

/// Removes what was left too long, and then what was left longest until there is room. Returns the bytes of what stays.
///
/// Only what goes is locked: an attempt that comes for the rest meanwhile finds it.
fn sweep(root: &Path, limit: u64) -> io::Result<u64> {
    let clock = clock(root)?;
    let mut places = Vec::new();
    for lecture in directories(root)? {
        places.extend(directories(&lecture)?.into_iter().map(|path| (age(&path, clock), size(&path), path)));
    }
    let mut total = places.iter().map(|(_, bytes, _)| bytes).sum();
    places.sort_by_key(|(age, ..)| std::cmp::Reverse(*age));
    for (age, bytes, path) in places {
        if (age > KEPT || total > limit)
            && let Some(_lock) = lock_left(&path)
        {
            total -= bytes.min(total);
            match std::fs::remove_dir_all(&path) {
                Ok(()) => tracing::info!(bytes, "removed what a download had left"),
                Err(error) => tracing::warn!(%error, "what a download left could not be removed"),
            }
            remove_if_empty(path.parent());
        }
    }
    Ok(total)
}

/// The lock of a directory that nobody holds. None also where it went or was renamed while we looked.
fn lock_left(path: &Path) -> Option<File> {
    let lock = File::options().read(true).write(true).open(path.join(LOCK)).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    path.join(LOCK).exists().then_some(lock)
}

/// Since when nobody took this directory over.
fn age(path: &Path, clock: SystemTime) -> Duration {
    let taken = std::fs::metadata(path.join(LOCK)).and_then(|metadata| metadata.modified());
    taken.ok().and_then(|taken| clock.duration_since(taken).ok()).unwrap_or_default()
}

/// The time by the clock that stamps files.
fn clock(root: &Path) -> io::Result<SystemTime> {
    let path = root.join("clock");
    std::fs::write(&path, b".")?;
    std::fs::metadata(&path)?.modified()
}

/// The directories in this one; none where it is gone, since others end their downloads meanwhile.
fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.flatten(),
    };
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}

/// Bytes of the files below. What goes while we look does not count.
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

/// A directory that is not empty stays, and that is no error.
fn remove_if_empty(path: Option<&Path>) {
    if let Some(path) = path {
        let _ = std::fs::remove_dir(path);
    }
}

#[cfg(test)]
mod tests;
