//! A temporary directory of this run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, io};

/// A temporary directory, removed with its files on drop.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Creates one; `what` is part of its name.
    pub fn create(what: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("bedel-bench-{what}{}", std::process::id()));
        fs::create_dir(&path).map_err(io(format!("create {}", path.display())))?;
        Ok(Self(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::error!(%error, directory = %self.0.display(), "not removed");
        }
    }
}
