//! Files that script/peers installs.

use std::path::PathBuf;

/// Directory of one part.
pub fn directory(part: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache"))).expect("a home directory");
    let directory = cache.join("bedel/peers-1").join(part);
    assert!(directory.join(".complete").exists(), "{} is missing. Type: script/peers", directory.display());
    directory
}
