//! The decoded sound of a recording: a file, read piece by piece.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bedel_media::sound::{MAX_HOURS, SAMPLE_RATE};
use bedel_queue::JobError;

use super::engine_error::EngineError;

const BYTES_PER_SAMPLE: u64 = 4;

/// A file of little-endian 32-bit floats at [`SAMPLE_RATE`], one channel, no header. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DecodedAudio {
    file: Arc<File>,
    samples: u64,
}

/// Why decoded sound cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DecodedAudioError {
    /// It exceeds the limit of a transcription.
    #[error(
        "the recording is at least {hours:.1} hours long, and at most {limit} hours can be transcribed; split it"
    )]
    TooLong {
        /// The hours that were decoded.
        hours: f64,
        /// The limit in hours.
        limit: u64,
    },
    /// It is empty, ends within a sample, or the disk failed.
    #[error("the decoded sound could not be read: {0}")]
    Unreadable(String),
}

impl From<io::Error> for DecodedAudioError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.kind().to_string())
    }
}

impl From<DecodedAudioError> for JobError {
    fn from(error: DecodedAudioError) -> Self {
        match error {
            DecodedAudioError::TooLong { .. } => Self::fatal("too-long", error.to_string()),
            DecodedAudioError::Unreadable(_) => EngineError::Failed(error.to_string()).into(),
        }
    }
}

impl DecodedAudio {
    /// Opens a decoded file.
    ///
    /// # Errors
    /// `TooLong`, or `Unreadable` if it is empty or ends within a sample.
    pub fn open(path: &Path) -> Result<Self, DecodedAudioError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let limit = MAX_HOURS * 3600 * u64::from(SAMPLE_RATE) * BYTES_PER_SAMPLE;
        if length > limit {
            #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
            let hours = length as f64 / limit as f64 * MAX_HOURS as f64;
            return Err(DecodedAudioError::TooLong { hours, limit: MAX_HOURS });
        }
        if length == 0 || length % BYTES_PER_SAMPLE != 0 {
            return Err(DecodedAudioError::Unreadable(format!(
                "{length} bytes are not a whole number of samples"
            )));
        }
        Ok(Self { file: Arc::new(file), samples: length / BYTES_PER_SAMPLE })
    }

    /// Its length in samples. At least 1.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        seconds(self.samples)
    }

    /// Reads a range of samples. NaN and infinity become silence, because they would spread to everything
    /// computed from them.
    ///
    /// # Errors
    /// `Unreadable`, also for a range beyond the end.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<f32>, DecodedAudioError> {
        let file = Arc::clone(&self.file);
        let read = tokio::task::spawn_blocking(move || {
            let count = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
            let mut samples = Vec::with_capacity(count);
            let mut buffer = vec![0; 256 * 1024];
            let mut at = range.start * BYTES_PER_SAMPLE;
            let end = range.end * BYTES_PER_SAMPLE;
            while at < end {
                let most = usize::try_from(end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
                file.read_exact_at(&mut buffer[..most], at)?;
                at += most as u64;
                let read = buffer[..most].as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four));
                samples.extend(read.map(|sample| if sample.is_finite() { sample } else { 0.0 }));
            }
            Ok(samples)
        });
        Ok(read.await.map_err(io::Error::from).flatten()?)
    }
}

/// Converts samples to seconds.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "at most 12 hours of samples")]
pub fn seconds(samples: u64) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[tokio::test]
    async fn reads_any_range_and_replaces_nan() {
        let values: Vec<f32> = (0..200_000).map(|n| n as f32).collect();
        let mut bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        bytes[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
        let sound = DecodedAudio::open(file(&bytes).path()).unwrap();
        assert_eq!(sound.samples(), 200_000);
        assert_eq!(sound.read(0..3).await.unwrap(), [0.0, 0.0, 2.0]);
        assert_eq!(sound.read(70_000..200_000).await.unwrap(), values[70_000..]);
        assert_eq!(sound.read(5..5).await.unwrap(), [0.0; 0]);
        assert!(sound.read(199_999..200_001).await.is_err());
    }

    #[test]
    fn empty_truncated_and_too_long_files_are_refused() {
        for bytes in [&[0; 0][..], &[0; 7]] {
            let error = JobError::from(DecodedAudio::open(file(bytes).path()).unwrap_err());
            assert_eq!((error.class(), error.is_fatal()), ("engine", false));
            assert!(error.to_string().contains("operators"), "{error}");
        }
        let long = tempfile::NamedTempFile::new().unwrap();
        long.as_file().set_len(13 * 3600 * 64_000).unwrap();
        let error = JobError::from(DecodedAudio::open(long.path()).unwrap_err());
        assert_eq!((error.class(), error.is_fatal()), ("too-long", true));
        assert!(error.to_string().contains("13.0 hours"), "{error}");
    }
}
