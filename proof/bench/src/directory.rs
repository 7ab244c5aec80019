//! A directory of this run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, io};

/// A directory in the temporary directory, removed with what is in it when this is dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Makes one, whose name tells `what` it is for.
    pub fn create(what: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("bedel-bench-{what}{}", std::process::id()));
        fs::create_dir(&path).map_err(io(format!("create {}", path.display())))?;
        Ok(Self(path))
    }

    /// Where it is.
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
