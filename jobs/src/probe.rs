//! `probe`: measures the stored audio, and refuses what is not a whole recording.
//!
//! 1. ffprobe tells what the container claims.
//! 2. The audio is decoded to the end and its samples are counted: a truncated file and a file with a hole both open
//!    without complaint, and so does one that is silent from end to end.
//! 3. The lecture gets its duration.
//!
//! Reading the same file again cannot make it whole, so what is refused is refused at once; the lecture then has no
//! audio any more, and a retry brings the recording in anew.

use std::path::Path;
use std::time::Duration;

use bedel_media::{AudioStream, MediaError, MediaTools, ProbeReport};
use bedel_queue::{Attempt, Backoff, Commit, End, Failure, Job, JobError, NewJob, Policy};
use bedel_storage::keys;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::environment::Context;
use crate::lecture;
use crate::stage::{Scratch, audio_missing, stored_audio};
use crate::transcribe::Transcribe;

/// How much shorter than announced a recording may be: this many seconds, or this share of it where that is more.
const TOLERATED_SECONDS: f64 = 2.0;
const TOLERATED_SHARE: f64 = 0.005;

/// A recording of which less can be heard is silent: a click or two in an hour are no lecture.
const SILENT_SHARE: f64 = 0.00001;

/// Measures the stored audio of a lecture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Probe {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Length of the sound that the source announced, in seconds, where it did.
    #[serde(default)]
    pub announced_seconds: Option<f64>,
}

/// What the audio is.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Length in seconds.
    pub seconds: f64,
    /// Seconds of sound that could be decoded.
    pub decoded_seconds: f64,
    /// The first audio stream.
    pub stream: AudioStream,
}

impl Job for Probe {
    const KIND: &'static str = "probe";
    type Context = Context;
    type Output = Probed;

    /// Only a disk or a missing tool is worth another attempt: five of them within ten minutes. Decoding three hours
    /// takes seconds, on a busy host minutes.
    fn policy() -> Policy {
        Policy {
            queue: "media",
            max_attempts: 5,
            backoff: Backoff { first: Duration::from_secs(5), max: Duration::from_secs(300) },
            timeout: Duration::from_secs(30 * 60),
            ..Policy::default()
        }
    }

    async fn begin(&self, _: &Context, _: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        Ok(lecture::begin(tx, self.lecture_id).await?)
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Probed, JobError> {
        let scratch = Scratch::create(&ctx.scratch, attempt.lease).await?;
        let audio = stored_audio(ctx, &keys::audio(self.lecture_id), &scratch).await?;
        let probed = measure(&ctx.media, &audio, self.announced_seconds).await;
        match probed {
            // There are other reasons than a deletion, but none that a wait would mend.
            Err(ProbeError::Media(MediaError::SourceMissing)) => Err(audio_missing()),
            Err(error) => Err(error.into()),
            Ok(probed) => Ok(probed),
        }
    }

    async fn commit(
        &self,
        ctx: &Context,
        attempt: &Attempt,
        output: &Probed,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        if lecture::lock(tx, self.lecture_id).await?.is_none() {
            return Ok(Commit::cancelled("the lecture was deleted"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rounding down is what is wanted, and `as` saturates"
        )]
        let duration_seconds = output.seconds as i32;
        sqlx::query(
            "-- probe::commit
             UPDATE lectures SET duration_seconds = $2, error_message = NULL WHERE id = $1",
        )
        .bind(self.lecture_id)
        .bind(duration_seconds)
        .execute(&mut *tx)
        .await?;
        let transcribe = Transcribe::of(self.lecture_id);
        let result = json!({
            "duration_seconds": duration_seconds,
            "decoded_seconds": output.decoded_seconds,
            "codec": output.stream.codec,
            "channels": output.stream.channels,
            "sample_rate": output.stream.sample_rate,
        });
        let job = lecture::stage_job(&transcribe, self.lecture_id, &ctx.settings).priority(attempt.priority);
        Ok(Commit::done().with_result(result).then(job))
    }

    async fn attempt_failed(
        _: &Context,
        failure: &Failure,
        tx: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        lecture::record_failure(tx, failure).await
    }

    async fn ended(ctx: &Context, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        lecture::fail(tx, end, &ctx.settings).await
    }
}

/// Why the audio was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// ffmpeg or ffprobe.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// Nothing can be heard in it.
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
}

impl From<ProbeError> for JobError {
    fn from(error: ProbeError) -> Self {
        match error {
            ProbeError::Media(error) => error.into(),
            ProbeError::Silent => Self::fatal("silent", error.to_string()),
            ProbeError::Incomplete { .. } => Self::fatal("incomplete", error.to_string()),
        }
    }
}

/// Measures a file. `announced` is what the source said the length of its sound was, in seconds; the file is held to
/// its own word as well.
///
/// # Errors
/// `Incomplete`, or the tools'.
pub async fn measure(media: &MediaTools, file: &Path, announced: Option<f64>) -> Result<Probed, ProbeError> {
    let report = media.probe(file).await?;
    let claimed = announced_seconds(&report);
    let stream = report.audio.into_iter().next().ok_or(MediaError::NoAudio)?;
    let sound = media.measure_sound(file).await?;
    let decoded_seconds = sound.seconds;
    if decoded_seconds <= 0.0 {
        return Err(MediaError::NoAudio.into());
    }
    // Silence before the first sample is part of the recording's length, but nothing that could be decoded.
    let covered = decoded_seconds + stream.start_seconds;
    let announced = announced.filter(|seconds| seconds.is_finite());
    for announced in announced.into_iter().chain(claimed) {
        if covered < announced - tolerance(announced) {
            return Err(ProbeError::Incomplete { announced, decoded: decoded_seconds });
        }
    }
    if sound.audible_share < SILENT_SHARE {
        return Err(ProbeError::Silent);
    }
    // The container's figure is what other programs show; one that the samples contradict is worth nothing.
    let plausible = |seconds: &f64| (covered - seconds).abs() <= tolerance(*seconds);
    let seconds = report.container_seconds.filter(plausible).unwrap_or(covered);
    Ok(Probed { seconds, decoded_seconds, stream })
}

/// Length of the sound that a container announces, in seconds: what it says of the audio stream. The container's own
/// length is its longest stream's, and the silence before a late sound is part of it; it counts where nothing is said
/// of the stream and there is no picture that may outlast the sound.
pub(crate) fn announced_seconds(report: &ProbeReport) -> Option<f64> {
    let container = || report.container_seconds.filter(|_| !report.has_video);
    report.audio.first()?.seconds.or_else(container)
}

fn tolerance(announced: f64) -> f64 {
    (announced * TOLERATED_SHARE).max(TOLERATED_SECONDS)
}
