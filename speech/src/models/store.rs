//! The directory of model files: checksums, one writer at a time, no incomplete file under a final name.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::error::ModelError;
use super::ggml::{self, ConvertError};
use super::known;
use super::name::{name_of, path_of};
use crate::digest;

/// A model in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// Name to configure, e.g. `tiny.en`.
    pub name: String,
    /// The file that whisper.cpp reads.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its sha256 in hexadecimal, recorded at its installation.
    pub sha256: String,
}

/// The default store: `bedel/models` in the user's cache directory (`$XDG_CACHE_HOME`, else `~/.cache`).
///
/// # Errors
/// `NoHome` if neither that variable nor a home directory exists.
pub fn default_dir() -> Result<PathBuf, ModelError> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.ok_or(ModelError::NoHome)?.join("bedel").join("models"))
}

/// A store locked for this process until it is dropped.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    lock: Arc<File>,
}

impl Store {
    /// Creates the directory if it is missing, and waits until no other process or thread has the store open.
    pub(super) fn open(directory: &Path) -> Result<Self, ModelError> {
        fs::create_dir_all(directory).map_err(ModelError::io("make", directory))?;
        let directory = directory.canonicalize().map_err(ModelError::io("find", directory))?;
        let path = directory.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(ModelError::io("open", &path))?;
        lock.lock().map_err(ModelError::io("lock", &path))?;
        let store = Self { directory, lock: Arc::new(lock) };
        store.remove_leftovers();
        Ok(store)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn lock(&self) -> &Arc<File> {
        &self.lock
    }

    pub(super) fn verify(&self, name: &str) -> Result<InstalledModel, ModelError> {
        verify(&self.directory, name)
    }

    /// Adds or replaces a model atomically. `expected` is its size and sha256, if they are known.
    pub(super) fn add(
        &self,
        name: &str,
        expected: Option<(u64, &str)>,
        write: impl FnOnce(&mut dyn Write) -> Result<(), ConvertError>,
    ) -> Result<InstalledModel, ModelError> {
        let path = path_of(&self.directory, name).ok_or_else(|| ModelError::BadName { path: name.into() })?;
        let temporary = self.temporary()?;
        let (bytes, sha256) = {
            let mut out = HashingWriter::new(BufWriter::new(temporary.as_file()));
            write(&mut out).map_err(|error| match error {
                ConvertError::Format(error) => ModelError::Format(error),
                ConvertError::Io(error) => ModelError::io("write", temporary.path())(error),
            })?;
            out.flush().map_err(ModelError::io("write", temporary.path()))?;
            (out.bytes, hex::encode(out.hash.finalize()))
        };
        if let Some((expected_bytes, expected_sha256)) = expected
            && (expected_bytes, expected_sha256) != (bytes, sha256.as_str())
        {
            let expected = format!("{expected_bytes} bytes with sha256 {expected_sha256}");
            return Err(ModelError::Conversion { name: name.to_owned(), bytes, found: sha256, expected });
        }
        // The checksum first: without its model, which a crash leaves, it counts as not installed.
        let mut checksum = self.temporary()?;
        let line = format!("{sha256}  ggml-{name}.bin\n");
        checksum.write_all(line.as_bytes()).map_err(ModelError::io("write", checksum.path()))?;
        self.publish(checksum, &checksum_path(&path))?;
        self.publish(temporary, &path)?;
        Ok(InstalledModel { name: name.to_owned(), path, bytes, sha256 })
    }

    fn temporary(&self) -> Result<tempfile::NamedTempFile, ModelError> {
        let made = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.directory);
        made.map_err(ModelError::io("make a file in", &self.directory))
    }

    fn publish(&self, file: tempfile::NamedTempFile, path: &Path) -> Result<(), ModelError> {
        use std::os::unix::fs::PermissionsExt;
        let readable = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable).map_err(ModelError::io("make readable", file.path()))?;
        file.as_file().sync_all().map_err(ModelError::io("write", file.path()))?;
        file.persist(path).map_err(|error| ModelError::io("name", path)(error.error))?;
        let directory = File::open(&self.directory).map_err(ModelError::io("open", &self.directory))?;
        directory.sync_all().map_err(ModelError::io("write", &self.directory))
    }

    /// Removes the files of a killed installation. Nobody uses them, because we have the lock.
    fn remove_leftovers(&self) {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().filter_map(Result::ok);
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let removed = if name.starts_with(".new-") {
                fs::remove_file(entry.path())
            } else if name.starts_with(".fetch-") {
                fs::remove_dir_all(entry.path())
            } else {
                continue;
            };
            if let Err(error) = removed {
                tracing::warn!(file = %name, %error, "cannot remove a file of an interrupted installation");
            }
        }
    }
}

fn checksum_path(path: &Path) -> PathBuf {
    path.with_added_extension("sha256")
}

/// The sha256 recorded next to a model; `None` if it is missing or malformed.
fn recorded_sha256(path: &Path) -> Option<String> {
    let line = fs::read_to_string(checksum_path(path)).ok()?;
    let sha256 = line.split_whitespace().next()?;
    (sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| sha256.to_owned())
}

/// Reads the whole model and compares its sha256 with the one recorded at its installation.
///
/// # Errors
/// `NotInstalled` or `Corrupt`, with what to type.
pub fn verify(directory: &Path, name: &str) -> Result<InstalledModel, ModelError> {
    let path = path_of(directory, name).filter(|path| path.is_file());
    let path = path.ok_or_else(|| known::not_found(name, directory))?;
    check_magic(&path)?;
    let found = sha256_of(&path)?;
    match recorded_sha256(&path) {
        Some(expected) if expected == found => {
            let bytes = fs::metadata(&path).map_err(ModelError::io("read", &path))?.len();
            Ok(InstalledModel { name: name.to_owned(), path, bytes, sha256: found })
        }
        expected => {
            let expected = expected.unwrap_or_else(|| "none".into());
            Err(ModelError::Corrupt { name: name.to_owned(), path, expected, found })
        }
    }
}

/// The models in the store, by name. Empty if there is no store yet.
///
/// # Errors
/// `Io`.
pub fn list(directory: &Path) -> Result<Vec<InstalledModel>, ModelError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ModelError::io("list", directory)(error)),
    };
    let mut models = Vec::new();
    for entry in entries {
        let path = entry.map_err(ModelError::io("list", directory))?.path();
        let name = name_of(&path).filter(|name| path_of(directory, name).as_ref() == Some(&path));
        let (Some(name), Some(sha256)) = (name, recorded_sha256(&path)) else { continue };
        let bytes = fs::metadata(&path).map_err(ModelError::io("read", &path))?.len();
        models.push(InstalledModel { name, path, bytes, sha256 });
    }
    models.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(models)
}

/// The file of a model, by its name in the store `dir` or by its path. Cheap: reads only the first bytes.
///
/// # Errors
/// `NotInstalled` or `NoSuchModel`, with what to type, or `NotGgml`.
pub fn resolve(name_or_path: &str, dir: &Path) -> Result<PathBuf, ModelError> {
    let stored = path_of(dir, name_or_path).filter(|path| path.is_file());
    let path = match stored {
        Some(path) => path,
        None if Path::new(name_or_path).is_file() => PathBuf::from(name_or_path),
        None => return Err(known::not_found(name_or_path, dir)),
    };
    check_magic(&path)?;
    Ok(path)
}

/// The current sha256 of a model, by its name in the store `dir` or by its path, in hexadecimal. Reads all of
/// it.
///
/// # Errors
/// As [`resolve`].
pub fn sha256(name_or_path: &str, dir: &Path) -> Result<String, ModelError> {
    sha256_of(&resolve(name_or_path, dir)?)
}

/// Checks that a file begins as a ggml model does.
pub(super) fn check_magic(path: &Path) -> Result<(), ModelError> {
    let mut file = File::open(path).map_err(ModelError::io("read", path))?;
    let mut magic = [0; 4];
    match file.read_exact(&mut magic) {
        Ok(()) if u32::from_le_bytes(magic) == ggml::MAGIC => Ok(()),
        Ok(()) => Err(ModelError::NotGgml { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(ModelError::NotGgml { path: path.to_owned() })
        }
        Err(error) => Err(ModelError::io("read", path)(error)),
    }
}

/// The sha256 of a file, in hexadecimal.
pub(super) fn sha256_of(path: &Path) -> Result<String, ModelError> {
    File::open(path).and_then(digest::sha256).map_err(ModelError::io("read", path))
}

struct HashingWriter<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> HashingWriter<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hash.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
