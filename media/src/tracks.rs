//! Which audio track of a file to take.

use std::path::Path;

use crate::error::MediaError;
use crate::ffprobe::ProbeReport;

/// The index of the track to take, among `report.audio`.
#[expect(clippy::unused_async, reason = "listening to tracks runs ffmpeg")]
pub(super) async fn choose(
    _ffmpeg: &Path,
    _source: &Path,
    _report: &ProbeReport,
) -> Result<usize, MediaError> {
    Ok(0)
}
