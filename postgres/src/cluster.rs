//! The data directory: where it is, who locks it, how it is created.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use rustix::fs::OFlags;
use uuid::Uuid;

use crate::account::Account;
use crate::binaries::major_version;
use crate::error::PostgresError;

/// Parent of clusters whose requested place the server's user cannot enter.
const FALLBACK_PARENT: &str = "/var/lib/bedel";

/// A data directory and the account that owns it. It may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Absolute, with no links in its parents: one directory has one name and so one lock.
    pub(crate) data_dir: PathBuf,
    /// Its owner.
    pub(crate) account: Account,
}

impl Cluster {
    /// Decides where the cluster lies and creates the directories above it.
    ///
    /// Under root, the server's user may be unable to enter them (a project below a closed home directory).
    /// Then the cluster lies below /var/lib, under a name derived from the requested path.
    pub(crate) fn resolve(requested: &Path) -> Result<Self, PostgresError> {
        let requested = std::path::absolute(requested)
            .map_err(PostgresError::io(format!("resolve {}", requested.display())))?;
        let (Some(parent), Some(name)) = (requested.parent(), requested.file_name()) else {
            return Err(PostgresError::UnusableDirectory {
                dir: requested,
                reason: "it is the root directory".into(),
            });
        };
        fs::create_dir_all(parent).map_err(PostgresError::io(format!("create {}", parent.display())))?;
        let parent =
            fs::canonicalize(parent).map_err(PostgresError::io(format!("resolve {}", parent.display())))?;
        let data_dir = parent.join(name);
        if data_dir.to_str().is_none_or(|path| path.contains('\n')) {
            let reason = "PostgreSQL needs a path in UTF-8 without line breaks".into();
            return Err(PostgresError::UnusableDirectory { dir: data_dir, reason });
        }
        let account = Account::for_dir(&data_dir)?;
        if account.can_enter(&parent) {
            return Ok(Self { data_dir, account });
        }
        let fallback = fallback_dir(&data_dir);
        tracing::warn!(
            requested = %data_dir.display(), used = %fallback.display(),
            "the user that runs PostgreSQL cannot enter {}; storing the database in {}",
            parent.display(), fallback.display(),
        );
        fs::create_dir_all(FALLBACK_PARENT)
            .map_err(PostgresError::io(format!("create {FALLBACK_PARENT}")))?;
        fs::set_permissions(FALLBACK_PARENT, Permissions::from_mode(0o755))
            .map_err(PostgresError::io(format!("open {FALLBACK_PARENT}")))?;
        let account = Account::for_dir(&fallback)?;
        Ok(Self { data_dir: fallback, account })
    }

    /// The directories where the cluster may lie. Creates and prints nothing.
    pub(crate) fn candidate_dirs(requested: &Path) -> Vec<PathBuf> {
        let Ok(requested) = std::path::absolute(requested) else { return Vec::new() };
        let (Some(parent), Some(name)) = (requested.parent(), requested.file_name()) else {
            return Vec::new();
        };
        let Ok(parent) = fs::canonicalize(parent) else { return Vec::new() };
        let data_dir = parent.join(name);
        let fallback = fallback_dir(&data_dir);
        vec![data_dir, fallback]
    }

    /// Checks the existing cluster, or creates one.
    pub(crate) fn ensure(&self, binaries: &Path, sync: bool) -> Result<(), PostgresError> {
        let unusable =
            |reason: String| PostgresError::UnusableDirectory { dir: self.data_dir.clone(), reason };
        self.remove_leftovers();
        match fs::metadata(&self.data_dir) {
            Err(_) => self.create(binaries, sync),
            Ok(found) if !found.is_dir() => Err(unusable("it is not a directory".into())),
            Ok(_) if fs::read_dir(&self.data_dir).is_ok_and(|mut entries| entries.next().is_none()) => {
                self.create(binaries, sync)
            }
            Ok(found) => {
                let current = rustix::process::geteuid().as_raw();
                if found.uid() == 0 {
                    return Err(unusable(
                        "it belongs to root, and PostgreSQL refuses root; chown -R it".into(),
                    ));
                }
                if self.account == Account::Current && found.uid() != current {
                    return Err(unusable(format!("it belongs to user id {}; run as that user", found.uid())));
                }
                let made_by = fs::read_to_string(self.data_dir.join("PG_VERSION"))
                    .map_err(|_| unusable("it holds other files; name an empty or a new directory".into()))?;
                let version = major_version(binaries)?;
                if made_by.trim() != version.to_string() {
                    return Err(unusable(format!(
                        "it was made by PostgreSQL {} and {} is version {version}; use binaries of version {0}",
                        made_by.trim(),
                        binaries.display(),
                    )));
                }
                Ok(())
            }
        }
    }

    /// Runs `initdb` beside the final place, then renames: a crash in between leaves no half-made cluster.
    /// The temporary name is new each time, because `initdb` can outlive its killed caller by up to a second.
    fn create(&self, binaries: &Path, sync: bool) -> Result<(), PostgresError> {
        self.account.check_user_name()?;
        let temporary = self.sibling(&format!("{}-{}", self.leftover_prefix(), Uuid::new_v4().simple()));
        self.account
            .create_dir(&temporary)
            .map_err(PostgresError::io(format!("create {}", temporary.display())))?;
        let renamed = self.initdb(binaries, &temporary, sync).and_then(|()| {
            fs::rename(&temporary, &self.data_dir)
                .map_err(PostgresError::io(format!("rename {} to its final name", temporary.display())))
        });
        if renamed.is_err() {
            // Best effort: the next start removes leftovers.
            let _ = fs::remove_dir_all(&temporary);
        }
        renamed?;
        if sync {
            let parent = self.data_dir.parent().expect("placed below a directory");
            File::open(parent)
                .and_then(|dir| dir.sync_all())
                .map_err(PostgresError::io("sync the new cluster"))?;
        }
        Ok(())
    }

    fn initdb(&self, binaries: &Path, dir: &Path, sync: bool) -> Result<(), PostgresError> {
        let run = |locale: &str| -> Result<Output, PostgresError> {
            let mut command = self.account.command(binaries.join("initdb"));
            command.arg("-D").arg(dir).args(["-U", "postgres", "-A", "trust", "-E", "UTF8"]);
            command.arg(format!("--locale={locale}"));
            if !sync {
                command.arg("--no-sync");
            }
            command.output().map_err(PostgresError::io(format!(
                "run {} as the server's user",
                binaries.join("initdb").display()
            )))
        };
        let mut output = run("C.UTF-8")?;
        if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("locale") {
            output = run("C")?;
        }
        if output.status.success() {
            return Ok(());
        }
        Err(PostgresError::Initdb { output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
    }

    /// Removes what an interrupted `initdb` left. The caller must hold the lock.
    fn remove_leftovers(&self) {
        let parent = self.data_dir.parent().expect("placed below a directory");
        let prefix = format!("{}-", self.leftover_prefix());
        let Ok(entries) = fs::read_dir(parent) else { return };
        for entry in
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        {
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "cannot remove an unfinished cluster");
            }
        }
    }

    fn leftover_prefix(&self) -> String {
        format!(".{}.initdb", self.name())
    }

    fn name(&self) -> String {
        self.data_dir.file_name().expect("placed below a directory").to_string_lossy().into_owned()
    }

    fn sibling(&self, name: &str) -> PathBuf {
        self.data_dir.with_file_name(name)
    }

    /// Locks this data directory without waiting. `None`: another process, or this one, already holds the
    /// lock.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, PostgresError> {
        let path = self.lock_path();
        let action = format!("lock {}", path.display());
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Under root the directory may belong to another user, whose link must not lead us to another
            // file.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(PostgresError::io(&action))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(PostgresError::io(&action)(error)),
        }
        self.account
            .chown(&file)
            .and_then(|()| file.set_len(0))
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(PostgresError::io(&action))?;
        Ok(Some(Lock { _file: file }))
    }

    /// The process id in the lock file, for error texts.
    pub(crate) fn lock_owner(&self) -> String {
        let mut text = String::new();
        let read = File::open(self.lock_path()).and_then(|mut file| file.read_to_string(&mut text));
        if read.is_ok() && !text.trim().is_empty() { text.trim().to_owned() } else { "unknown".to_owned() }
    }

    /// Beside the data directory, not in it: the directory appears by a rename.
    fn lock_path(&self) -> PathBuf {
        self.sibling(&format!("{}.lock", self.name()))
    }
}

/// The right to start, adopt and stop the server of one data directory. The kernel releases it when the
/// process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

fn fallback_dir(data_dir: &Path) -> PathBuf {
    let name = data_dir.file_name().unwrap_or_default().to_string_lossy();
    let path = Uuid::new_v5(&Uuid::NAMESPACE_URL, data_dir.as_os_str().as_encoded_bytes());
    Path::new(FALLBACK_PARENT).join(format!("{name}-{}", path.simple()))
}
