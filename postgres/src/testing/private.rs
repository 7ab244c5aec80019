//! The server of one test process.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use uuid::Uuid;

use crate::account::Account;
use crate::cluster::Cluster;
use crate::launch::{Launch, READY_WITHIN};
use crate::pidfile::{self, PidFile};
use crate::running::Running;
use crate::server::{Durability, StopMode};
use crate::socket::temporary_place;
use crate::{PostgresError, find_binaries};

/// Directories of test servers begin like this.
const DIR_PREFIX: &str = "bedel-test-";

/// Starts a server in a new directory of its own. The guard removes the directory with everything in it.
pub(super) fn start() -> Result<Running, PostgresError> {
    let binaries = find_binaries(None)?;
    let name = format!("{DIR_PREFIX}{}", Uuid::new_v4().simple());
    // Nothing is there yet: the account is that of a new cluster.
    let account = Account::of(&env::temp_dir().join(&name))?;
    let place = temporary_place(account)?.join(name);
    account.create_dir(&place).map_err(PostgresError::io(format!("create {}", place.display())))?;
    remove_abandoned(&place, account);
    let launch = Launch {
        binaries,
        cluster: Cluster { data_dir: place.join("pg"), account },
        durability: Durability::Off,
        stop_mode: StopMode::Immediate,
        remove: Some(place),
        patience: READY_WITHIN,
    };
    launch.run()
}

/// Removes the directories of test processes that were killed before their server had a guard.
fn remove_abandoned(ours: &Path, account: Account) {
    let owned = |path: &Path| fs::symlink_metadata(path).ok().filter(|found| found.uid() == account.uid());
    let changed = |path: &Path| owned(path).map(|found| found.mtime());
    let (Some(now), Some(entries)) =
        (changed(ours), ours.parent().and_then(|place| fs::read_dir(place).ok()))
    else {
        return;
    };
    for place in entries.flatten().map(|entry| entry.path()) {
        let named = place.file_name().is_some_and(|name| name.to_string_lossy().starts_with(DIR_PREFIX));
        // A younger one may be about to take its lock.
        if !named || changed(&place).is_none_or(|then| now - then < 600) {
            continue;
        }
        let cluster = Cluster { data_dir: place.join("pg"), account };
        let Ok(Some(_lock)) = cluster.try_lock() else { continue };
        if PidFile::read(&cluster.data_dir).is_none_or(|file| !pidfile::serves(file.pid, &cluster.data_dir)) {
            // Best effort: its own guard may be at it too.
            let _ = fs::remove_dir_all(&place);
        }
    }
}
