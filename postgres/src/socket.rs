//! Where a server's socket lies.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::account::Account;
use crate::cluster::Cluster;
use crate::error::PostgresError;

/// The longest path of a socket that every system takes (Linux 107, macOS 103).
const LONGEST_SOCKET: usize = 103;
/// Part of the socket's name; nothing listens on a port.
pub(crate) const PORT: u16 = 5432;
const SOCKET_DIR_PREFIX: &str = "bedel-pg-";

/// The socket lies in the data directory, which nobody else may enter, unless its path would be too long. Then
/// it lies in a temporary directory whose name follows from the path: URLs stay good over a restart.
pub(crate) fn of(cluster: &Cluster) -> Result<PathBuf, PostgresError> {
    let Cluster { data_dir, account } = cluster;
    if socket_length(data_dir) <= LONGEST_SOCKET {
        return Ok(data_dir.clone());
    }
    let path = Uuid::new_v5(&Uuid::NAMESPACE_URL, data_dir.as_os_str().as_encoded_bytes());
    let dir = temporary_place(*account)?.join(format!("{SOCKET_DIR_PREFIX}{}", path.simple()));
    match account.create_dir(&dir) {
        Ok(()) => {}
        // Left by a crash, or put there by somebody who would like us to use theirs.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(&dir)
                .ok()
                .filter(|found| found.is_dir() && found.uid() == account.uid() && found.mode() & 0o077 == 0);
            found.ok_or_else(|| PostgresError::UnusableDirectory {
                dir: dir.clone(),
                reason: "the socket must lie there and it belongs to somebody else; remove it".into(),
            })?;
        }
        Err(error) => return Err(PostgresError::io(format!("create {}", dir.display()))(error)),
    }
    Ok(dir)
}

/// After a stop: removes the directory if it is one of ours in a temporary directory. After a crash it is not empty; then it
/// stays, and the next start uses it again.
pub(crate) fn leave(socket_dir: &Path) {
    if socket_dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SOCKET_DIR_PREFIX)) {
        let _ = fs::remove_dir(socket_dir);
    }
}

/// The first temporary directory that the account can enter and that leaves room for a socket's path.
pub(crate) fn temporary_place(account: Account) -> Result<PathBuf, PostgresError> {
    let places = [env::temp_dir(), "/tmp".into(), "/var/tmp".into()];
    let fits = |place: &PathBuf| {
        let longest = place.join(format!("{SOCKET_DIR_PREFIX}{}", Uuid::nil().simple()));
        place.is_absolute() && socket_length(&longest) <= LONGEST_SOCKET && account.enters(place)
    };
    places.into_iter().find(fits).ok_or_else(|| PostgresError::UnusableDirectory {
        dir: env::temp_dir(),
        reason: "the server's user cannot enter it; set TMPDIR to another directory".into(),
    })
}

fn socket_length(dir: &Path) -> usize {
    dir.join(format!(".s.PGSQL.{PORT}")).as_os_str().len()
}
