//! The user that the server runs as. PostgreSQL refuses root, so under root it is another user.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::PostgresError;

/// The user of the server and of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    /// The current user, which is not root.
    Current,
    /// Another user, because the current one is root.
    Other {
        /// The user id.
        uid: u32,
        /// The user's primary group id.
        gid: u32,
    },
}

impl Account {
    /// The account for a data directory: the current user unless that is root. Under root it is the
    /// directory's owner, else `postgres`, else `nobody`.
    pub(crate) fn for_dir(data_dir: &Path) -> Result<Self, PostgresError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Current);
        }
        match fs::metadata(data_dir) {
            Ok(found) if found.uid() != 0 => Ok(Self::Other { uid: found.uid(), gid: found.gid() }),
            _ => {
                ["postgres", "nobody"].into_iter().find_map(look_up).ok_or_else(|| PostgresError::NoAccount {
                    reason: "root cannot run PostgreSQL, and no user postgres or nobody exists".into(),
                })
            }
        }
    }

    /// A command that runs as this account. Its environment is `PATH` alone (for `sleep` and `rm`), its
    /// directory one that every user can enter.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// `initdb` looks up its user by id. Without an entry this fails early, with advice.
    pub(crate) fn check_user_name(self) -> Result<(), PostgresError> {
        let mut command = self.command("id");
        match command.arg("-un").stderr(Stdio::null()).output() {
            Ok(output) if !output.status.success() => {
                Err(PostgresError::NoAccount { reason: format!("user id {} has no user name", self.uid()) })
            }
            _ => Ok(()),
        }
    }

    /// Whether this account can enter `dir`. Tries it as that user: permission bits alone do not decide
    /// (access control lists, mount options).
    pub(crate) fn can_enter(self, dir: &Path) -> bool {
        if self == Self::Current {
            return true;
        }
        let mut command = self.command("/bin/sh");
        command.args(["-c", "cd \"$1\"", "sh"]).arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// The user id.
    pub(crate) fn uid(self) -> u32 {
        match self {
            Self::Current => rustix::process::geteuid().as_raw(),
            Self::Other { uid, .. } => uid,
        }
    }

    /// Creates a directory with mode 0700 for this account. Fails if the name exists.
    pub(crate) fn create_dir(self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        match self {
            Self::Current => Ok(()),
            // Not `chown`: the parent's owner could have put a link here meanwhile.
            Self::Other { uid, gid } => lchown(path, Some(uid), Some(gid)),
        }
    }

    /// Gives an open file to this account.
    pub(crate) fn chown(self, file: &File) -> io::Result<()> {
        match self {
            Self::Current => Ok(()),
            Self::Other { uid, gid } => fchown(file, Some(uid), Some(gid)),
        }
    }
}

/// Looks up a user with `id`, as the system does: not in /etc/passwd alone.
fn look_up(name: &str) -> Option<Account> {
    let number = |flag| {
        let output = Command::new("id").args([flag, name]).stderr(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    Some(Account::Other { uid: number("-u")?, gid: number("-g")? })
}
