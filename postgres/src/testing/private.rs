//! The private server of one test process.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use uuid::Uuid;

use crate::account::Account;
use crate::binaries::find_binaries;
use crate::cluster::Cluster;
use crate::error::PostgresError;
use crate::launch::{Launch, READY_TIMEOUT};
use crate::options::{Durability, StopMode};
use crate::pidfile::{self, PidFile};
use crate::running::Running;
use crate::socket::temporary_parent;

/// Prefix of test servers' directories.
const DIR_PREFIX: &str = "bedel-test-";

/// Starts a server in a new directory. The guard removes the directory with its contents.
pub(super) fn start() -> Result<Running, PostgresError> {
    let binaries = find_binaries(None)?;
    let name = format!("{DIR_PREFIX}{}", Uuid::new_v4().simple());
    // The directory does not exist yet, so this is the account of a new cluster.
    let account = Account::for_dir(&env::temp_dir().join(&name))?;
    let dir = temporary_parent(account)?.join(name);
    account.create_dir(&dir).map_err(PostgresError::io(format!("create {}", dir.display())))?;
    remove_abandoned(&dir, account);
    let launch = Launch {
        binaries,
        cluster: Cluster { data_dir: dir.join("pg"), account },
        durability: Durability::Off,
        stop_mode: StopMode::Immediate,
        remove_dir: Some(dir),
        timeout: READY_TIMEOUT,
    };
    launch.run()
}

/// Removes directories of test processes that were killed before their server had a guard.
fn remove_abandoned(ours: &Path, account: Account) {
    let owned = |path: &Path| fs::symlink_metadata(path).ok().filter(|found| found.uid() == account.uid());
    let modified_at = |path: &Path| owned(path).map(|found| found.mtime());
    let (Some(now), Some(entries)) =
        (modified_at(ours), ours.parent().and_then(|parent| fs::read_dir(parent).ok()))
    else {
        return;
    };
    for dir in entries.flatten().map(|entry| entry.path()) {
        let is_ours = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DIR_PREFIX));
        // The process of a directory younger than 600 s may be about to take its lock.
        if !is_ours || modified_at(&dir).is_none_or(|then| now - then < 600) {
            continue;
        }
        let cluster = Cluster { data_dir: dir.join("pg"), account };
        let Ok(Some(_lock)) = cluster.try_lock() else { continue };
        if PidFile::read(&cluster.data_dir)
            .is_none_or(|file| !pidfile::is_serving(file.pid, &cluster.data_dir))
        {
            // Best effort: its own guard may be removing it too.
            let _ = fs::remove_dir_all(&dir);
        }
    }
}
