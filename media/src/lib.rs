//! ffmpeg and ffprobe, on local files only.
//!
//! An exit code of 0 proves nothing (a truncated file or a hole in the middle exits 0), so what counts is how many
//! samples could be decoded: [`MediaTools::measure_sound`].
//!
//! Media is hostile. The tools may open local files and pipes alone, and only formats that hold their media
//! themselves: a playlist named `lecture.mp4` could otherwise read any other file on this host into a transcript.

mod channels;
mod child;
mod error;
mod ffmpeg;
mod ffprobe;
pub mod sound;

use std::path::{Path, PathBuf};

use self::sound::MAX_HOURS;

pub use self::error::MediaError;
pub use self::ffprobe::{AudioStream, ProbeReport};

/// What could really be decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sound {
    /// Seconds, counted sample by sample: a hole does not count, whatever the time stamps around it say.
    pub seconds: f64,
    /// Share of the samples, 0 to 1, that are louder than -60 dB.
    pub audible_share: f64,
}

/// The two programs, found.
#[derive(Debug, Clone)]
pub struct MediaTools {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
}

impl MediaTools {
    /// Looks for both programs in `PATH`.
    ///
    /// # Errors
    /// `ToolMissing`, which says what to install.
    pub fn find() -> Result<Self, MediaError> {
        Ok(Self { ffmpeg: find("ffmpeg")?, ffprobe: find("ffprobe")? })
    }

    /// The two programs by name, to be looked for when they are run: for a process that runs no jobs.
    #[must_use]
    pub fn by_name() -> Self {
        Self { ffmpeg: "ffmpeg".into(), ffprobe: "ffprobe".into() }
    }

    /// The path of ffmpeg.
    #[must_use]
    pub fn ffmpeg(&self) -> &Path {
        &self.ffmpeg
    }

    /// The path of ffprobe.
    #[must_use]
    pub fn ffprobe(&self) -> &Path {
        &self.ffprobe
    }

    /// Writes the first audio stream of `source` to `target` as AAC in an MPEG-4 container: as it is where it is
    /// AAC already, encoded otherwise. `target` is replaced; after an error it holds anything or nothing. Returns what `source`
    /// says of itself.
    ///
    /// # Errors
    /// `NoAudio`, `NotMedia`, and the tools' own.
    pub async fn extract_audio(&self, source: &Path, target: &Path) -> Result<ProbeReport, MediaError> {
        let report = self.probe(source).await?;
        let stream = report.audio.first().ok_or(MediaError::NoAudio)?;
        ffmpeg::extract_audio(&self.ffmpeg, source, target, stream.codec == "aac").await?;
        Ok(report)
    }

    /// As [`MediaTools::extract_audio`] for a recording in several files, one behind another. Each may have time stamps and
    /// coding of its own, so each is encoded anew, in `directory`.
    ///
    /// # Errors
    /// `NoAudio` where one of them has none, `NotMedia`, and the tools' own.
    pub async fn join_audio(
        &self,
        runs: &[PathBuf],
        directory: &Path,
        target: &Path,
    ) -> Result<(), MediaError> {
        let mut list = String::new();
        for (number, run) in runs.iter().enumerate() {
            if self.probe(run).await?.audio.is_empty() {
                return Err(MediaError::NoAudio);
            }
            let name = format!("run-{number:03}.m4a");
            ffmpeg::encode_alike(&self.ffmpeg, run, &directory.join(&name)).await?;
            list += &format!("file '{name}'\n");
        }
        let listed = directory.join("runs.txt");
        tokio::fs::write(&listed, list).await.map_err(|error| MediaError::io("ffmpeg", &error))?;
        ffmpeg::concatenate(&self.ffmpeg, &listed, target).await
    }

    /// What the container says of itself. Its durations are claims.
    ///
    /// # Errors
    /// `NotMedia`, and the tools' own. A file without audio is no error here.
    pub async fn probe(&self, file: &Path) -> Result<ProbeReport, MediaError> {
        ffprobe::probe(&self.ffprobe, file).await
    }

    /// Decodes the first audio stream to its end.
    ///
    /// # Errors
    /// `NotMedia`, and the tools' own.
    pub async fn measure_sound(&self, file: &Path) -> Result<Sound, MediaError> {
        ffmpeg::measure_sound(&self.ffmpeg, file).await
    }

    /// Writes the first audio stream to `target` as Whisper wants it: [`SAMPLE_RATE`](sound::SAMPLE_RATE) hertz, one channel, raw
    /// little-endian 32-bit floats (`f32le`), no header. Channels are mixed, unless somebody speaks in one of two while the other is
    /// noise. Gaps between time stamps become silence, so that second N of
    /// `target` is second N of `file`. 64,000 bytes per second, and at most one second more than the longest recording
    /// an engine takes: enough for it to see that there is too much.
    ///
    /// # Errors
    /// `NotMedia`, `DiskFull`, and the tools' own.
    pub async fn decode_pcm(&self, file: &Path, target: &Path) -> Result<(), MediaError> {
        let channels = self.probe(file).await?.audio.first().map_or(0, |stream| stream.channels);
        let channel = match channels {
            2 => channels::worth_hearing(&self.ffmpeg, file, MAX_HOURS * 3600).await?,
            _ => None,
        };
        if let Some(channel) = channel {
            tracing::info!(channel, "the other channel is noise and is left out");
        }
        ffmpeg::decode_pcm(&self.ffmpeg, file, target, channel, MAX_HOURS * 3600 + 1).await
    }

    /// Writes speech of [`SAMPLE_RATE`](sound::SAMPLE_RATE) hertz to `target` as AAC of [`SPEECH_BITS`](sound::SPEECH_BITS) bits per second in an MPEG-4 container.
    ///
    /// # Errors
    /// `NotMedia`, `DiskFull`, and the tools' own.
    pub async fn encode_speech(&self, file: &Path, target: &Path) -> Result<(), MediaError> {
        ffmpeg::encode_speech(&self.ffmpeg, file, target).await
    }
}

fn find(tool: &'static str) -> Result<PathBuf, MediaError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(tool))
        .find(|candidate| is_executable(candidate))
        .ok_or(MediaError::ToolMissing { tool })
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
