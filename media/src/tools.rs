//! The two programs and what we use them for.

use std::path::{Path, PathBuf};

use crate::error::MediaError;
use crate::ffmpeg::SoundStats;
use crate::ffprobe::ProbeReport;
use crate::listening::MAX_CHANNELS;
use crate::sound::{ChannelReason, MAX_HOURS, SoundChoice};
use crate::{channels, ffmpeg, ffprobe, gain, listening, tracks};

/// Paths of ffmpeg and ffprobe.
#[derive(Debug, Clone)]
pub struct MediaTools {
    ffmpeg: PathBuf,
    ffprobe: PathBuf,
}

impl MediaTools {
    /// Finds both programs in `PATH`.
    ///
    /// # Errors
    /// `ToolMissing`, which says what to install.
    pub fn find() -> Result<Self, MediaError> {
        Ok(Self { ffmpeg: find("ffmpeg")?, ffprobe: find("ffprobe")? })
    }

    /// Both programs by name, looked up when they run. For processes that run no jobs.
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

    /// Writes the first audio stream of `source` to `target`, as AAC in an MPEG-4 container. AAC is copied,
    /// anything else is encoded. Replaces `target`; after an error its content is undefined. Returns the
    /// report on `source`.
    ///
    /// # Errors
    /// `NoAudio`, `NotMedia`, and the tools' own.
    pub async fn extract_audio(&self, source: &Path, target: &Path) -> Result<ProbeReport, MediaError> {
        let report = self.probe(source).await?;
        let stream = report.audio.first().ok_or(MediaError::NoAudio)?;
        ffmpeg::extract_audio(&self.ffmpeg, source, target, stream.codec == "aac").await?;
        Ok(report)
    }

    /// Like [`MediaTools::extract_audio`], for a recording in several files, one after another. Their time
    /// stamps and codecs may differ, so each is encoded again, in `directory`.
    ///
    /// # Errors
    /// `NoAudio` if any file has none, `NotMedia`, and the tools' own.
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
            ffmpeg::encode_uniform(&self.ffmpeg, run, &directory.join(&name)).await?;
            list += &format!("file '{name}'\n");
        }
        let list_file = directory.join("runs.txt");
        tokio::fs::write(&list_file, list).await.map_err(|error| MediaError::io("ffmpeg", &error))?;
        ffmpeg::concatenate(&self.ffmpeg, &list_file, target).await
    }

    /// Reads what the container says about its streams. Its durations are claims;
    /// [`MediaTools::measure_sound`] checks them.
    ///
    /// # Errors
    /// `NotMedia`, and the tools' own. A file without audio is no error here.
    pub async fn probe(&self, file: &Path) -> Result<ProbeReport, MediaError> {
        ffprobe::probe(&self.ffprobe, file).await
    }

    /// Decodes the whole first audio stream and counts the samples of its loudest channel.
    ///
    /// # Errors
    /// `NotMedia`, and the tools' own.
    pub async fn measure_sound(&self, file: &Path) -> Result<SoundStats, MediaError> {
        ffmpeg::measure_sound(&self.ffmpeg, file).await
    }

    /// Writes the audio track that speaks to `target` in the form Whisper takes:
    /// [`SAMPLE_RATE`](crate::sound::SAMPLE_RATE) hertz, one channel, raw little-endian 32-bit floats
    /// (`f32le`), no header: 64,000 bytes per second.
    ///
    /// Takes the channels that carry the voice where a mix of all would lose it, and corrects the level of a
    /// very quiet voice. The result says so. Gaps between time stamps become silence, so second N of `target` is second N
    /// of `file`. Stops one second after [`MAX_HOURS`], which lets the engine see that the recording is too long.
    ///
    /// # Errors
    /// `NoAudio`, `NotMedia`, `DiskFull`, and the tools' own.
    pub async fn decode_pcm(&self, file: &Path, target: &Path) -> Result<SoundChoice, MediaError> {
        let report = self.probe(file).await?;
        let track = tracks::choose(&self.ffmpeg, file, &report).await?;
        let of = report.audio.get(track).ok_or(MediaError::NoAudio)?.channels;
        let (channels, reason) = match of as usize {
            2..=MAX_CHANNELS => {
                let seconds = Some(MAX_HOURS * 3600);
                let heard =
                    ffmpeg::read_channels(&self.ffmpeg, file, track, seconds, listening::listen).await?;
                channels::choose(&heard)
            }
            ..2 => (vec![0], ChannelReason::OnlyChannel),
            _ => (Vec::new(), ChannelReason::Mix),
        };
        let taken = match reason {
            ChannelReason::OnlyChannel | ChannelReason::Mix => &[],
            _ => &channels[..],
        };
        ffmpeg::decode_pcm(&self.ffmpeg, file, target, (track, taken), MAX_HOURS * 3600 + 1).await?;
        let is_part = !taken.is_empty() || track > 0;
        let decoded = target.to_owned();
        let gain_db = tokio::task::spawn_blocking(move || gain::correct(&decoded))
            .await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| MediaError::io("ffmpeg", &error))?;
        let choice = SoundChoice { track, channels, of, reason, gain_db };
        if is_part || gain_db != 0 {
            tracing::info!(?choice, "decoded a part of the sound, or at another level");
        }
        Ok(choice)
    }

    /// Encodes speech of [`SAMPLE_RATE`](crate::sound::SAMPLE_RATE) hertz to `target`, as AAC of
    /// [`SPEECH_BITS`](crate::sound::SPEECH_BITS) bits per second in an MPEG-4 container.
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
