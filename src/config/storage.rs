//! Directories for files.

use std::path::{Path, PathBuf};

use clap::Args;

/// Directories for files.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Files")]
pub struct StorageOptions {
    /// Directory for stored audio, transcripts and documents; every process must see the same contents
    /// [default: storage in the data directory]
    #[arg(long, env = "BEDEL_STORAGE_DIR", value_name = "DIR")]
    storage_dir: Option<PathBuf>,

    /// Local directory for work in progress; each process makes its own subdirectory [default: scratch in the
    /// data directory]
    #[arg(long, env = "BEDEL_SCRATCH_DIR", value_name = "DIR")]
    scratch_dir: Option<PathBuf>,
}

impl StorageOptions {
    /// The storage directory.
    #[must_use]
    pub fn storage_dir(&self, data_dir: &Path) -> PathBuf {
        self.storage_dir.clone().unwrap_or_else(|| data_dir.join("storage"))
    }

    /// The parent of the scratch directories of all processes of this host.
    #[must_use]
    pub fn scratch_dir(&self, data_dir: &Path) -> PathBuf {
        self.scratch_dir.clone().unwrap_or_else(|| data_dir.join("scratch"))
    }
}
