//! The files of a finished download, and its progress while it runs.

use std::path::PathBuf;

/// A recording in local files.
#[derive(Debug)]
pub struct Source {
    /// Its files, in order.
    pub runs: Vec<PathBuf>,
    /// Length in seconds that a playlist announced.
    pub announced_seconds: Option<f64>,
}

/// Receives the progress of a download. Called often, so each call must return at once.
pub trait Progress: Sync {
    /// A single file has this many bytes, of a total if the server announced one.
    fn bytes(&self, bytes: u64, total: Option<u64>);

    /// The recording has this many segments. None is finished yet.
    fn begin_segments(&self, count: usize);

    /// The segment with this number, counted from 0, is finished.
    fn segment(&self, number: usize);
}
