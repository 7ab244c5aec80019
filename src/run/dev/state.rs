//! Who runs on a data directory, and how to reach it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::CliError;

const LOCK: &str = "dev.lock";
const STATE: &str = "dev.json";

/// How to reach the `bedel dev` that runs on a data directory: the content of `dev.json`. It holds secrets, so the
/// file is its owner's alone and there is no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct DevState {
    /// Where the API listens, without a path.
    pub api_url: String,
    /// A token for the API.
    pub token: String,
    /// A token of the same user that may do everything.
    pub admin_token: String,
    /// The tokens' user.
    pub user_id: Uuid,
    /// The database.
    pub database_url: String,
    /// The supervisor's process id.
    pub pid: u32,
}

impl DevState {
    /// Writes `dev.json`, whole or not at all.
    ///
    /// # Errors
    /// Where the directory cannot be written.
    pub fn write(&self, data_dir: &Path) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(self).expect("plain data is JSON");
        write_private(&data_dir.join(STATE), &text)
    }
}

/// The `bedel dev` that runs on `data_dir` and is ready. The lock tells, not the process id, which may belong to
/// another program by now.
#[must_use]
pub fn running(data_dir: &Path) -> Option<DevState> {
    let lock = File::open(data_dir.join(LOCK)).ok()?;
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    serde_json::from_slice(&std::fs::read(data_dir.join(STATE)).ok()?).ok()
}

/// Removes `dev.json`.
pub fn remove(data_dir: &Path) {
    if let Err(error) = std::fs::remove_file(data_dir.join(STATE))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!("{STATE} stays behind: {error}");
    }
}

/// Held by the one `bedel dev` of a data directory; the system releases it with the process, whatever its end.
pub struct DevLock {
    _file: File,
}

impl DevLock {
    /// Takes the lock and writes this process's id into it.
    ///
    /// # Errors
    /// Where another `bedel dev` holds it, saying which, or where the file cannot be made.
    pub fn take(data_dir: &Path) -> Result<Self, CliError> {
        let path = data_dir.join(LOCK);
        let failed = |error: std::io::Error| CliError::Failed(format!("{}: {error}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(failed)?;
        // A short wait: a reader of `running` holds a shared lock for a moment.
        for _ in 0..10 {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    file.set_len(0).map_err(failed)?;
                    file.rewind().map_err(failed)?;
                    writeln!(file, "{}", std::process::id()).map_err(failed)?;
                    return Ok(Self { _file: file });
                }
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
        let mut holder = String::new();
        file.read_to_string(&mut holder).map_err(failed)?;
        let place = running(data_dir).map(|state| format!(" at {}", state.api_url)).unwrap_or_default();
        Err(CliError::Failed(format!(
            "a `bedel dev` runs on {} already: process {}{place}. Use that one, stop it, or give this one a directory of \
             its own with --data-dir",
            data_dir.display(),
            holder.trim()
        )))
    }
}

/// Writes a file that only its owner may read, whole or not at all.
///
/// # Errors
/// Where the directory cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let failed =
        |error: std::io::Error| CliError::Failed(format!("{} cannot be written: {error}", path.display()));
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> DevState {
        DevState {
            api_url: "http://127.0.0.1:1".to_owned(),
            token: "t".to_owned(),
            admin_token: "a".to_owned(),
            user_id: Uuid::nil(),
            database_url: "postgresql:///bedel".to_owned(),
            pid: 1,
        }
    }

    #[test]
    fn a_state_without_a_living_owner_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        state().write(directory.path()).unwrap();
        assert!(running(directory.path()).is_none(), "there is not even a lock");
        let lock = DevLock::take(directory.path()).unwrap();
        assert_eq!(running(directory.path()).unwrap().api_url, "http://127.0.0.1:1");
        drop(lock);
        assert!(running(directory.path()).is_none(), "its owner is gone");
    }

    #[test]
    fn the_second_is_told_who_was_first() {
        let directory = tempfile::tempdir().unwrap();
        let _first = DevLock::take(directory.path()).unwrap();
        let Err(error) = DevLock::take(directory.path()) else { panic!("two held the lock") };
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    }

    #[test]
    fn the_state_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        state().write(directory.path()).unwrap();
        let mode = std::fs::metadata(directory.path().join(STATE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
