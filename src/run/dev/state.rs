//! The instance that runs on a data directory.

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

/// Content of `dev.json`: how to reach the `bedel dev` on a data directory. It holds secrets, so only its
/// owner may read the file and there is no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct DevState {
    /// Base URL of the API.
    pub api_url: String,
    /// A token for the API.
    pub token: String,
    /// A token of the same user with admin rights.
    pub admin_token: String,
    /// The tokens' user.
    pub user_id: Uuid,
    /// The database.
    pub database_url: String,
    /// The supervisor's process id.
    pub pid: u32,
}

impl DevState {
    /// Writes `dev.json` atomically.
    ///
    /// # Errors
    /// If the directory is not writable.
    pub fn write(&self, data_dir: &Path) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(self).expect("plain data is JSON");
        write_private(&data_dir.join(STATE), &text)
    }
}

/// The ready `bedel dev` on `data_dir`. The lock decides, not the process id, which another program may have
/// by now.
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
        tracing::warn!("{STATE} could not be removed: {error}");
    }
}

/// The lock of the one `bedel dev` on a data directory. The system releases it when the process ends.
pub struct DevLock {
    _file: File,
}

impl DevLock {
    /// Takes the lock and writes this process's id into the file.
    ///
    /// # Errors
    /// If another `bedel dev` holds it, with its process id, or if the file cannot be created.
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
        // Retries briefly: a reader in `running` holds a shared lock for a moment.
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
            "a `bedel dev` runs on {} already: process {}{place}. Use it, stop it, or choose another \
             directory with --data-dir",
            data_dir.display(),
            holder.trim()
        )))
    }
}

/// Writes a file that only its owner may read, atomically.
///
/// # Errors
/// If the directory is not writable.
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
    fn a_state_without_a_live_owner_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        state().write(directory.path()).unwrap();
        assert!(running(directory.path()).is_none(), "there is not even a lock");
        let lock = DevLock::take(directory.path()).unwrap();
        assert_eq!(running(directory.path()).unwrap().api_url, "http://127.0.0.1:1");
        drop(lock);
        assert!(running(directory.path()).is_none(), "its owner is gone");
    }

    #[test]
    fn a_second_instance_names_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let _first = DevLock::take(directory.path()).unwrap();
        let Err(error) = DevLock::take(directory.path()) else { panic!("two held the lock") };
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    }

    #[test]
    fn the_state_file_is_private() {
        let directory = tempfile::tempdir().unwrap();
        state().write(directory.path()).unwrap();
        let mode = std::fs::metadata(directory.path().join(STATE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
