//! The directory of a server's socket.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::account::Account;
use crate::cluster::Cluster;
use crate::error::PostgresError;

/// Longest socket path that every system accepts, in bytes (Linux 107, macOS 103).
const MAX_SOCKET_PATH: usize = 103;
/// Part of the socket's name. The server listens on no TCP port.
pub(crate) const PORT: u16 = 5432;
const SOCKET_DIR_PREFIX: &str = "bedel-pg-";

/// Returns the data directory, which only its user can enter. If the socket's path would be too long, creates
/// a temporary directory instead. Its name is derived from the data directory's path, so URLs survive a
/// restart.
pub(crate) fn socket_dir(cluster: &Cluster) -> Result<PathBuf, PostgresError> {
    let Cluster { data_dir, account } = cluster;
    if socket_length(data_dir) <= MAX_SOCKET_PATH {
        return Ok(data_dir.clone());
    }
    let path = Uuid::new_v5(&Uuid::NAMESPACE_URL, data_dir.as_os_str().as_encoded_bytes());
    let dir = temporary_parent(*account)?.join(format!("{SOCKET_DIR_PREFIX}{}", path.simple()));
    match account.create_dir(&dir) {
        Ok(()) => {}
        // Left by a crash, or planted by another user.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(&dir)
                .ok()
                .filter(|found| found.is_dir() && found.uid() == account.uid() && found.mode() & 0o077 == 0);
            found.ok_or_else(|| PostgresError::UnusableDirectory {
                dir: dir.clone(),
                reason: "the socket must be there, but another user owns it or can enter it; remove it"
                    .into(),
            })?;
        }
        Err(error) => return Err(PostgresError::io(format!("create {}", dir.display()))(error)),
    }
    Ok(dir)
}

/// After a stop: removes the socket's directory if it is a temporary one. After a crash it is not empty. Then
/// it stays, and the next start uses it again.
pub(crate) fn remove_temporary_dir(socket_dir: &Path) {
    if socket_dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SOCKET_DIR_PREFIX)) {
        let _ = fs::remove_dir(socket_dir);
    }
}

/// The first directory for temporary files that the account can enter and that leaves room for a socket's
/// path.
pub(crate) fn temporary_parent(account: Account) -> Result<PathBuf, PostgresError> {
    let candidates = [env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    let fits = |dir: &PathBuf| {
        let longest = dir.join(format!("{SOCKET_DIR_PREFIX}{}", Uuid::nil().simple()));
        dir.is_absolute() && socket_length(&longest) <= MAX_SOCKET_PATH && account.can_enter(dir)
    };
    candidates.into_iter().find(fits).ok_or_else(|| PostgresError::UnusableDirectory {
        dir: env::temp_dir(),
        reason: "the server's user cannot enter it; set TMPDIR to another directory".into(),
    })
}

fn socket_length(dir: &Path) -> usize {
    dir.join(format!(".s.PGSQL.{PORT}")).as_os_str().len()
}
