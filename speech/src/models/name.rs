//! Names of models and of their files.

use std::path::{Path, PathBuf};

/// The name of a model by its file: `ggml-tiny.en.bin` is `tiny.en`. `None` if it contains characters that a
/// name cannot have.
#[must_use]
pub fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = file.strip_suffix(".bin").unwrap_or(file);
    let name = stem.strip_prefix("ggml-").unwrap_or(stem);
    is_name(name).then(|| name.to_owned())
}

/// The file of the model `name` in a store, whether it exists or not. `None` if that is no name.
pub(super) fn path_of(directory: &Path, name: &str) -> Option<PathBuf> {
    is_name(name).then(|| directory.join(format!("ggml-{name}.bin")))
}

/// True for a valid name, which can be a part of a file's name.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with('.')
}
