//! Which user the server runs as. PostgreSQL refuses root, so under root it is somebody else.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::PostgresError;

/// The user of the server and of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The same as ours: we are not root.
    Own,
    /// Another one: we are root.
    Other {
        /// The user id.
        uid: u32,
        /// The user's primary group id.
        gid: u32,
    },
}

impl Account {
    /// The account for a data directory: ourselves unless we are root; then its owner when it exists, else
    /// `postgres`, else `nobody`.
    pub(crate) fn of(data_dir: &Path) -> Result<Self, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        match fs::metadata(data_dir) {
            Ok(found) if found.uid() != 0 => Ok(Self::Other { uid: found.uid(), gid: found.gid() }),
            _ => ["postgres", "nobody"].into_iter().find_map(named).ok_or_else(|| PostgresError::NoAccount {
                reason: "root cannot run PostgreSQL, and there is neither a user postgres nor a user nobody"
                    .into(),
            }),
        }
    }

    /// A command that runs as this account, with nothing of our environment but `PATH` (for `sleep` and `rm`), in a
    /// directory that every user may enter.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// `initdb` looks its own user up by id: refuse early, with advice, when there is no such entry.
    pub(crate) fn check_name(self) -> Result<(), PostgresError> {
        let mut command = self.command("id");
        let named = command.arg("-un").stderr(Stdio::null()).output();
        match named {
            Ok(output) if !output.status.success() => {
                Err(PostgresError::NoAccount { reason: format!("user id {} has no user name", self.uid()) })
            }
            _ => Ok(()),
        }
    }

    /// Whether this account can enter `dir`. Asked of the system, as that user, because permission bits are not all
    /// there is (access control lists, mount options).
    pub(crate) fn enters(self, dir: &Path) -> bool {
        if self == Self::Own {
            return true;
        }
        let mut command = self.command("/bin/sh");
        command.args(["-c", "cd \"$1\"", "sh"]).arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// The user id behind this account.
    pub(crate) fn uid(self) -> u32 {
        match self {
            Self::Own => rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => uid,
        }
    }

    /// Makes a directory of this account's, closed to everybody else. Fails when something of that name is there.
    pub(crate) fn create_dir(self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        match self {
            Self::Own => Ok(()),
            // The directory above may belong to somebody else, who could have put a link here meanwhile.
            Self::Other { uid, gid } => lchown(path, Some(uid), Some(gid)),
        }
    }

    /// Makes an open file this account's own.
    pub(crate) fn take(self, file: &File) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => fchown(file, Some(uid), Some(gid)),
        }
    }
}

/// Looks a user up as the system does (not in /etc/passwd alone).
fn named(name: &str) -> Option<Account> {
    let number = |flag| {
        let output = Command::new("id").args([flag, name]).stderr(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    Some(Account::Other { uid: number("-u")?, gid: number("-g")? })
}
