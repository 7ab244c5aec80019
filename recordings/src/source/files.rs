//! What a download leaves on disk, and how it reports on the way.

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
    /// A single file has this many bytes, of a total where the server announced one.
    fn bytes(&self, bytes: u64, of: Option<u64>);

    /// The recording has this many segments, none of them finished yet.
    fn begin_segments(&self, count: usize);

    /// The segment with this number, counted from 0, is finished.
    fn segment(&self, number: usize);
}
