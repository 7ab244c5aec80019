//! The data directory: where it is, who holds it, and how it is made.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use rustix::fs::OFlags;
use uuid::Uuid;

use crate::account::Account;
use crate::error::PostgresError;

/// Where clusters go that cannot lie where they were asked for.
const FALLBACK: &str = "/var/lib/bedel";

/// A data directory and the account that owns it. It may not exist yet.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Absolute, without links in its parents: one directory has one name, hence one lock.
    pub(crate) data_dir: PathBuf,
    /// Whom it belongs to.
    pub(crate) account: Account,
}

impl Cluster {
    /// Decides where the cluster asked for really lies, and creates the directories above it.
    ///
    /// Under root the server's user may be unable to enter them (a project below a closed home directory). Then the
    /// cluster lies below /var/lib, under a name derived from the path asked for.
    pub(crate) fn place(asked: &Path) -> Result<Self, PostgresError> {
        let asked =
            std::path::absolute(asked).map_err(PostgresError::io(format!("resolve {}", asked.display())))?;
        let (Some(parent), Some(name)) = (asked.parent(), asked.file_name()) else {
            return Err(PostgresError::UnusableDirectory {
                dir: asked,
                reason: "it is the root directory".into(),
            });
        };
        fs::create_dir_all(parent).map_err(PostgresError::io(format!("create {}", parent.display())))?;
        let parent =
            fs::canonicalize(parent).map_err(PostgresError::io(format!("resolve {}", parent.display())))?;
        let data_dir = parent.join(name);
        if data_dir.to_str().is_none_or(|path| path.contains('\n')) {
            let reason = "PostgreSQL's files cannot hold such a path (not UTF-8, or of two lines)".into();
            return Err(PostgresError::UnusableDirectory { dir: data_dir, reason });
        }
        let account = Account::of(&data_dir)?;
        if account.enters(&parent) {
            return Ok(Self { data_dir, account });
        }
        let fallback = fallback(&data_dir);
        tracing::warn!(
            asked = %data_dir.display(), used = %fallback.display(),
            "the user that runs PostgreSQL cannot enter {}; the database is kept in {}",
            parent.display(), fallback.display(),
        );
        fs::create_dir_all(FALLBACK).map_err(PostgresError::io(format!("create {FALLBACK}")))?;
        fs::set_permissions(FALLBACK, Permissions::from_mode(0o755))
            .map_err(PostgresError::io(format!("open {FALLBACK}")))?;
        let account = Account::of(&fallback)?;
        Ok(Self { data_dir: fallback, account })
    }

    /// The places where a cluster asked for by this name may lie, without creating or printing anything.
    pub(crate) fn candidates(asked: &Path) -> Vec<PathBuf> {
        let Ok(asked) = std::path::absolute(asked) else { return Vec::new() };
        let (Some(parent), Some(name)) = (asked.parent(), asked.file_name()) else { return Vec::new() };
        let Ok(parent) = fs::canonicalize(parent) else { return Vec::new() };
        let data_dir = parent.join(name);
        let fallback = fallback(&data_dir);
        vec![data_dir, fallback]
    }

    /// Makes the cluster if there is none, after a look at what is there.
    pub(crate) fn prepare(&self, binaries: &Path, sync: bool) -> Result<(), PostgresError> {
        let unusable =
            |reason: String| PostgresError::UnusableDirectory { dir: self.data_dir.clone(), reason };
        self.remove_leftovers();
        match fs::metadata(&self.data_dir) {
            Err(_) => self.initialise(binaries, sync),
            Ok(found) if !found.is_dir() => Err(unusable("it is not a directory".into())),
            Ok(_) if fs::read_dir(&self.data_dir).is_ok_and(|mut entries| entries.next().is_none()) => {
                self.initialise(binaries, sync)
            }
            Ok(found) => {
                let us = rustix::process::geteuid().as_raw();
                if found.uid() == 0 {
                    return Err(unusable("it belongs to root, whom PostgreSQL refuses; chown -R it".into()));
                }
                if self.account == Account::Own && found.uid() != us {
                    return Err(unusable(format!("it belongs to user id {}; run as that user", found.uid())));
                }
                let made_by = fs::read_to_string(self.data_dir.join("PG_VERSION"))
                    .map_err(|_| unusable("it holds other files; name an empty or a new directory".into()))?;
                let version = crate::major_version(binaries)?;
                if made_by.trim() != version.to_string() {
                    return Err(unusable(format!(
                        "it was made by PostgreSQL {} and {} is version {version}; use the programs of version {0}",
                        made_by.trim(),
                        binaries.display(),
                    )));
                }
                Ok(())
            }
        }
    }

    /// Runs `initdb` beside the final place and renames: a crash in between leaves no half cluster. The temporary name
    /// is new each time, because an `initdb` outlives its killed caller by up to a second.
    fn initialise(&self, binaries: &Path, sync: bool) -> Result<(), PostgresError> {
        self.account.check_name()?;
        let temporary = self.sibling(&format!("{}-{}", self.leftover_prefix(), Uuid::new_v4().simple()));
        self.account
            .create_dir(&temporary)
            .map_err(PostgresError::io(format!("create {}", temporary.display())))?;
        let renamed = self.initdb(binaries, &temporary, sync).and_then(|()| {
            fs::rename(&temporary, &self.data_dir)
                .map_err(PostgresError::io(format!("rename {} to its place", temporary.display())))
        });
        if renamed.is_err() {
            // Best effort: what stays is removed by the next start.
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

    /// Removes what an interrupted `initdb` left. Only the holder of the lock does this.
    fn remove_leftovers(&self) {
        let parent = self.data_dir.parent().expect("placed below a directory");
        let prefix = format!("{}-", self.leftover_prefix());
        let Ok(entries) = fs::read_dir(parent) else { return };
        for entry in
            entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        {
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "an unfinished cluster could not be removed");
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

    /// Takes the lock of this data directory, without waiting. `None`: somebody else, or we ourselves, hold it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, PostgresError> {
        let path = self.lock_path();
        let action = format!("lock {}", path.display());
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Under root the directory may be somebody else's, who must not lead us to another file.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(PostgresError::io(&action))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(PostgresError::io(&action)(error)),
        }
        self.account
            .take(&file)
            .and_then(|()| file.set_len(0))
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(PostgresError::io(&action))?;
        Ok(Some(Lock { _file: file }))
    }

    /// The process id that the holder of the lock wrote down, for the message.
    pub(crate) fn holder(&self) -> String {
        let mut text = String::new();
        let read = File::open(self.lock_path()).and_then(|mut file| file.read_to_string(&mut text));
        if read.is_ok() && !text.trim().is_empty() { text.trim().to_owned() } else { "unknown".to_owned() }
    }

    /// Beside the data directory, not in it: that one appears by a rename.
    fn lock_path(&self) -> PathBuf {
        self.sibling(&format!("{}.lock", self.name()))
    }
}

/// The right to start, adopt and stop the server of one data directory. It ends with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

fn fallback(data_dir: &Path) -> PathBuf {
    let name = data_dir.file_name().unwrap_or_default().to_string_lossy();
    let path = Uuid::new_v5(&Uuid::NAMESPACE_URL, data_dir.as_os_str().as_encoded_bytes());
    Path::new(FALLBACK).join(format!("{name}-{}", path.simple()))
}
