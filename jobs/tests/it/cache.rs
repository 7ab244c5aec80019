//! Files that scripts install in the user's cache.

use std::path::PathBuf;

/// Directory of a complete part, such as `speech-1/spoken`. `script` installs it.
pub fn installed(part: &str, script: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache"))).expect("a home directory");
    let directory = cache.join("bedel").join(part);
    assert!(directory.join(".complete").exists(), "{} is missing. Type: {script}", directory.display());
    directory
}
