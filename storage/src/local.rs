//! Creates and lists local directories.
//!
//! object_store's listing hides the staging files of killed writes (`key#N`), so they could never be collected. It also follows
//! symbolic links, and stops at the first name that is not UTF-8.

use std::fs::{DirBuilder, DirEntry, ReadDir};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::error::StorageError;
use super::keys;
use super::object::StoredObject;

/// Creates the directory for this user alone (mode 0700). An existing one keeps its mode. Missing parents get the default mode:
/// other users of this host may have data beside it.
///
/// # Errors
/// The operating system's; a file with this name.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        // Another process was faster.
        Err(_) if path.is_dir() => Ok(()),
        created => created,
    }
}

/// The files below `root/prefix`. Blocks.
pub(super) fn list(root: &Path, prefix: &str) -> Result<Vec<StoredObject>, StorageError> {
    let mut found = Vec::new();
    let mut directories: Vec<(PathBuf, String)> = vec![(root.join(prefix), prefix.to_owned())];
    while let Some((path, key)) = directories.pop() {
        let entries = read_dir(&path).map_err(|source| StorageError::io(&key, source))?;
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(|source| StorageError::io(&key, source))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let entry_key = format!("{key}/{name}");
            let kind = entry.file_type().map_err(|source| StorageError::io(&entry_key, source))?;
            if kind.is_dir() {
                if keys::location(&entry_key).is_ok() {
                    directories.push((entry.path(), entry_key));
                }
            } else if kind.is_file() {
                found.extend(object(&entry, entry_key)?);
            }
        }
    }
    Ok(found)
}

/// `None` if the directory does not exist, or was removed meanwhile.
fn read_dir(path: &Path) -> io::Result<Option<ReadDir>> {
    match std::fs::read_dir(path) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn object(entry: &DirEntry, name: String) -> Result<Option<StoredObject>, StorageError> {
    let (key, staged) = match name.rsplit_once('#') {
        Some((key, number)) => match number.parse() {
            Ok(number) => (key.to_owned(), Some(number)),
            Err(_) => return Ok(None),
        },
        None => (name, None),
    };
    if keys::location(&key).is_err() {
        return Ok(None);
    }
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io(&key, error)),
    };
    let modified: DateTime<Utc> =
        metadata.modified().map_err(|source| StorageError::io(&key, source))?.into();
    Ok(Some(StoredObject { key, size: metadata.len(), modified, staged }))
}
