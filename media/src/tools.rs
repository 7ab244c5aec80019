//! The two programs and what we use them for.

use std::path::{Path, PathBuf};

use crate::error::MediaError;
use crate::ffmpeg::SoundStats;
use crate::ffprobe::ProbeReport;
use crate::listening::MAX_CHANNELS;
use crate::recording::{self, Recording, SourceFiles};
use crate::sound::{ChannelReason, MAX_HOURS, SoundChoice};
use crate::timeline::{self, Piece};
use crate::tracks::Content;
use crate::{channels, ffmpeg, ffprobe, gain, packet_clock, tracks};

/// The samples of a file and its clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClockReport {
    /// Seconds of sound, summed over the packets.
    pub sample_seconds: f64,
    /// Seconds from the first time stamp to the last.
    pub clock_seconds: f64,
    /// True if they agree and the clock never goes back.
    pub agrees: bool,
}

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

    /// Writes the sound of one file to `target`, as AAC in an MPEG-4 container, on the clock of a player: a late
    /// start becomes silence, and samples whose time stamps are wrong are put back to back. Copies AAC where
    /// nothing has to change. Replaces `target`; after an error its content is undefined.
    ///
    /// # Errors
    /// `NoAudio`, `Incomplete` where the sound has a hole, `NotMedia`, and the tools' own.
    pub async fn extract_audio(&self, source: &Path, target: &Path) -> Result<Recording, MediaError> {
        let runs = [source.to_owned()];
        let files = SourceFiles { runs: &runs, is_playlist: false, announced_seconds: None };
        let recording = self.inspect(files).await?;
        let piece = Piece { recording: &recording, span: 0.0..f64::INFINITY, at: 0.0 };
        // One piece of one file needs no directory.
        timeline::write(&self.ffmpeg, &self.ffprobe, &[piece], Path::new("/"), target).await?;
        Ok(recording)
    }

    /// Reads the files of a recording: its sound, its clock, and whether they agree. Decodes nothing.
    ///
    /// # Errors
    /// `NoAudio` if a file has none, `Incomplete` where the sound has a hole, `NotMedia`, and the tools' own.
    pub async fn inspect(&self, source: SourceFiles<'_>) -> Result<Recording, MediaError> {
        recording::inspect(&self.ffmpeg, &self.ffprobe, source).await
    }

    /// Writes the sound of a session to `target`, as AAC in an MPEG-4 container. The pieces must be in the
    /// session's order and may not overlap; where none plays there is silence. Intermediate files go to
    /// `directory`.
    ///
    /// # Errors
    /// `NoAudio` without pieces, `Incomplete` where a recording ends before its piece or less was written than was planned, `NotMedia`, and the tools'
    /// own.
    pub async fn write_audio(
        &self,
        pieces: &[Piece<'_>],
        directory: &Path,
        target: &Path,
    ) -> Result<(), MediaError> {
        timeline::write(&self.ffmpeg, &self.ffprobe, pieces, directory, target).await
    }

    /// What the recording carries: the best of its files. Decodes it.
    ///
    /// # Errors
    /// `NotMedia`, and the tools' own.
    pub async fn content(&self, recording: &Recording) -> Result<Content, MediaError> {
        let mut best = Content::Silence;
        for (file, track) in recording.tracks() {
            best = best.max(tracks::content(&self.ffmpeg, file, track).await?);
            if best == Content::Speech {
                break;
            }
        }
        Ok(best)
    }

    /// Compares the samples of the first audio stream with their time stamps. Decodes nothing.
    ///
    /// # Errors
    /// `NoAudio`, `NotMedia`, and the tools' own.
    pub async fn compare_clock(&self, file: &Path) -> Result<ClockReport, MediaError> {
        let clock = packet_clock::scan_first(&self.ffprobe, file).await?;
        let (samples, span) = (clock.sound, clock.span());
        Ok(ClockReport { sample_seconds: samples, clock_seconds: span, agrees: clock.is_continuous() })
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
        ffmpeg::measure_sound(&self.ffmpeg, file, 0).await
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
            2..=MAX_CHANNELS => channels::choose(&tracks::listen(&self.ffmpeg, file, track).await?),
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
