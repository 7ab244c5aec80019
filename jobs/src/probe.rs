//! `probe`: measures the stored audio and refuses an incomplete recording.
//!
//! 1. Read the container's claims with ffprobe.
//! 2. Decode the audio to the end and count its samples. Truncated, damaged and silent files all open without
//!    an error.
//! 3. Store the duration in the lecture.
//!
//! Reading the same file again cannot repair it, so a refusal is fatal. The lecture loses its audio, and a
//! retry downloads the recording again.

use std::path::Path;
use std::time::Duration;

use bedel_media::conservation::{agree, is_whole};
use bedel_media::{AudioStream, MediaError, MediaTools};
use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, Policy};
use bedel_storage::keys;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::audio::{audio_missing, stored_audio};
use crate::environment::Context;
use crate::error_class::{ErrorClass, OF_STORAGE, names};
pub use crate::kinds::Probe;
use crate::lecture::Lecture;
use crate::pipeline::{self, Stage, stage_hooks};
use crate::scratch::Scratch;

/// Measurements of the audio.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Length in seconds.
    pub seconds: f64,
    /// Seconds of decoded sound.
    pub decoded_seconds: f64,
    /// The first audio stream.
    pub stream: AudioStream,
}

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 14] = names(&[
    &OF_STORAGE,
    &[
        ErrorClass::Incomplete,
        ErrorClass::Silent,
        ErrorClass::NoAudio,
        ErrorClass::NotMedia,
        ErrorClass::AudioMissing,
        ErrorClass::MediaTool,
        ErrorClass::ToolMissing,
    ],
]);

impl Job for Probe {
    const KIND: &'static str = "probe";
    type Context = Context;
    type Output = Probed;

    /// Only a disk or a missing tool is worth another attempt: five of them within ten minutes. Decoding three hours
    /// takes seconds, on a busy host minutes.
    fn policy() -> Policy {
        Policy {
            queue: "media",
            slots: 2,
            max_attempts: 5,
            backoff: Backoff { first: Duration::from_secs(5), max: Duration::from_secs(300) },
            timeout: Duration::from_secs(30 * 60),
            error_classes: &ERROR_CLASSES,
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Probed, JobError> {
        let scratch = Scratch::create(&ctx.scratch, attempt.lease).await?;
        let audio = stored_audio(ctx, &keys::audio(self.lecture_id), &scratch).await?;
        let probed = measure(&ctx.media, &audio, self.announced_seconds).await;
        match probed {
            // A deletion is not the only cause, but waiting helps against none of them.
            Err(ProbeError::Media(MediaError::SourceMissing)) => Err(audio_missing()),
            Err(error) => Err(error.into()),
            Ok(probed) => Ok(probed),
        }
    }

    stage_hooks!();
}

impl Stage for Probe {
    fn lecture_id(&self) -> Uuid {
        self.lecture_id
    }

    async fn store(
        &self,
        ctx: &Context,
        attempt: &Attempt,
        _: &Lecture,
        output: &Probed,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        #[expect(clippy::cast_possible_truncation, reason = "the seed rounds down, and `as` saturates")]
        let duration_seconds = output.seconds as i32;
        sqlx::query(
            "-- probe::store
             UPDATE lectures SET duration_seconds = $2, error_message = NULL WHERE id = $1",
        )
        .bind(self.lecture_id)
        .bind(duration_seconds)
        .execute(tx)
        .await?;
        let result = json!({
            "duration_seconds": duration_seconds,
            "decoded_seconds": output.decoded_seconds,
            "codec": output.stream.codec,
            "channels": output.stream.channels,
            "sample_rate": output.stream.sample_rate,
        });
        let transcribe = pipeline::after_probe(attempt, self.lecture_id, &ctx.settings);
        Ok(Commit::done().with_result(result).then(transcribe))
    }
}

/// Why the probe refuses the audio.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// ffmpeg or ffprobe failed.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// It is silent throughout.
    #[error(
        "The recording is silent from its beginning to its end. Check in your browser that it has sound, and send the \
         stream that carries it."
    )]
    Silent,
    /// Less could be decoded than was announced.
    #[error(
        "The recording is incomplete: it should be {announced:.0} seconds long, but only {decoded:.0} seconds can be \
         played. Use retry to download it again."
    )]
    Incomplete {
        /// Seconds announced.
        announced: f64,
        /// Seconds that can be played.
        decoded: f64,
    },
    /// The samples and their time stamps have different lengths, so players and engines would skip speech.
    #[error(
        "The recording is incomplete: the stored audio has {decoded:.0} seconds of sound, but its time stamps span \
         {clock:.0} seconds. Use retry to download it again."
    )]
    Clock {
        /// Seconds of sound.
        decoded: f64,
        /// Seconds of its clock.
        clock: f64,
    },
}

impl From<ProbeError> for JobError {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Media(error) => error.into(),
            ProbeError::Silent => Self::fatal("silent", error.to_string()),
            ProbeError::Incomplete { .. } | ProbeError::Clock { .. } => {
                Self::fatal("incomplete", error.to_string())
            }
        }
    }
}

/// Measures a file. `announced` is the length of the sound in seconds as the source announced it. The file
/// must also have the length that its container claims.
///
/// # Errors
/// See [`ProbeError`].
pub async fn measure(media: &MediaTools, file: &Path, announced: Option<f64>) -> Result<Probed, ProbeError> {
    let report = media.probe(file).await?;
    let claimed = report.announced_seconds();
    let stream = report.audio.into_iter().next().ok_or(MediaError::NoAudio)?;
    let sound = media.measure_sound(file).await?;
    let decoded_seconds = sound.seconds;
    if decoded_seconds <= 0.0 {
        return Err(MediaError::NoAudio.into());
    }
    // Silence before the first sample counts towards the length, but there is nothing to decode.
    let covered = decoded_seconds + stream.start_seconds;
    let announced = announced.filter(|seconds| seconds.is_finite());
    for announced in announced.into_iter().chain(claimed) {
        if !is_whole(covered, announced) {
            return Err(ProbeError::Incomplete { announced, decoded: decoded_seconds });
        }
    }
    let clock = media.compare_clock(file).await?;
    if !clock.agrees || !agree(decoded_seconds, clock.clock_seconds) {
        return Err(ProbeError::Clock { decoded: decoded_seconds, clock: clock.clock_seconds });
    }
    if sound.is_silent() {
        return Err(ProbeError::Silent);
    }
    // Other programs show the container's length. Ignore it if the samples contradict it.
    let plausible = |seconds: &f64| agree(covered, *seconds);
    let seconds = report.container_seconds.filter(plausible).unwrap_or(covered);
    Ok(Probed { seconds, decoded_seconds, stream })
}
