//! `transcribe`: turns the stored audio into the stored transcript.
//!
//! 1. The audio is decoded into a scratch directory named after the lease.
//! 2. The speech engine transcribes it piece by piece, off the async threads, and tells how far it is. Finished pieces of a long
//!    recording are stored: whichever attempt comes next, on whichever host, begins behind them.
//! 3. Payload and captions are stored under keys that the lease names, the fence is checked, and only then both are
//!    renamed to the keys that the lecture's row will hold.
//!
//! An attempt first deletes what older leases stored, so a late rename by one of them finds nothing.

mod finished;

use std::path::PathBuf;
use std::time::Duration;

use bedel_media::MediaError;
use bedel_queue::{Attempt, Backoff, Commit, End, Failure, Job, JobError, NewJob, Policy};
use bedel_speech::decoded_audio::seconds;
use bedel_speech::{Choice, Control, DecodedAudio, Transcript, transcribe_pieces, vtt};
use bedel_storage::{StorageError, keys};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use self::finished::Finished;
use crate::cleanup_orphans;
use crate::environment::{Context, Environment};
use crate::lecture;
use crate::stage::{Scratch, UPLOADED, audio_missing, remove_leftovers, stored_audio};

/// Share of the progress that decoding stands for; it runs several hundred times as fast as speech.
const DECODED: f64 = 0.02;
/// Share of the progress after the engine is done: storing.
const TRANSCRIBED: f64 = 0.99;

/// Turns the stored audio of a lecture into its transcript.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transcribe {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Another engine or model than the worker's own.
    #[serde(flatten)]
    pub choice: Choice,
}

impl Transcribe {
    /// By the worker's own engine.
    #[must_use]
    pub fn of(lecture_id: Uuid) -> Self {
        Self { lecture_id, choice: Choice::default() }
    }
}

/// What `run` stored; the job's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcribed {
    /// For example `whisper.cpp`.
    pub engine: String,
    /// For example `tiny.en`.
    pub model: String,
    /// The language spoken, as a two- or three-letter code.
    pub language: String,
    /// Number of segments.
    pub segments: usize,
    /// Length of the recording in seconds.
    pub audio_seconds: f64,
    /// Pieces it was transcribed in.
    pub pieces: usize,
    /// Seconds of audio that this attempt transcribed; earlier ones had done the rest.
    pub transcribed_seconds: f64,
    /// Time the engine took for them, in seconds, by a monotonic clock.
    pub elapsed_seconds: f64,
    /// `elapsed_seconds` per second of audio: 0.1 is ten times as fast as speech. None where nothing was left to do.
    pub real_time_factor: Option<f64>,
    /// Pieces were stored, which are of no use any more.
    #[serde(skip)]
    pub leaves_pieces: bool,
}

impl Job for Transcribe {
    const KIND: &'static str = "transcribe";
    type Context = Context;
    /// `None` where the lecture was deleted.
    type Output = Option<Transcribed>;

    /// An attempt is expensive, so there are three. Six hours are enough for the longest recording an engine takes,
    /// at half the speed that was measured on a busy core.
    fn policy() -> Policy {
        Policy {
            queue: "speech",
            max_attempts: 3,
            // A piece takes minutes on a slow host, and a spot machine may die several times before one is done.
            max_crashes: 6,
            backoff: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(6 * 3600),
            ..Policy::default()
        }
    }

    async fn begin(&self, _: &Context, _: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        Ok(lecture::begin(tx, self.lecture_id).await?)
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Self::Output, JobError> {
        let Some(lecture) = lecture::read(&mut *ctx.pool.acquire().await?, self.lecture_id).await? else {
            return Ok(None);
        };
        let engine = ctx.engines.as_ref().ok_or_else(engine_missing)?.choose(&self.choice)?;
        remove_leftovers(ctx, attempt, self.lecture_id).await?;
        let scratch = Scratch::create(&ctx.scratch, attempt.lease).await?;
        let key = lecture.audio_storage_key.ok_or_else(audio_missing)?;
        let (audio, sound) = decode(ctx, &key, &scratch).await?;
        attempt.set_progress(DECODED);

        let finished = Finished::of(ctx, attempt, self.lecture_id, &engine, &audio, &sound, &scratch).await?;
        let told = attempt.clone();
        let control = Control::new(attempt.cancellation().clone(), move |fraction| {
            told.set_progress(DECODED + (TRANSCRIBED - DECODED) * fraction);
        });
        let heard = transcribe_pieces(engine.as_ref(), &sound, &control, &finished).await?;
        attempt.set_progress(TRANSCRIBED);
        let (pieces, samples) = (heard.pieces, heard.samples);
        let (transcribed_seconds, elapsed_seconds) = (seconds(samples), heard.elapsed.as_secs_f64());
        let transcript = Transcript::new(engine.describe(), heard.into_raw(), seconds(sound.samples()))?;

        store(ctx, attempt, self.lecture_id, &transcript).await?;
        attempt.set_progress(1.0);
        Ok(Some(Transcribed {
            segments: transcript.segments.len(),
            engine: transcript.engine,
            model: transcript.model,
            language: transcript.language,
            audio_seconds: transcript.duration,
            pieces,
            transcribed_seconds,
            elapsed_seconds,
            leaves_pieces: finished.is_kept(),
            real_time_factor: (samples > 0).then(|| elapsed_seconds / transcribed_seconds),
        }))
    }

    async fn commit(
        &self,
        _: &Context,
        _: &Attempt,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let (Some(transcribed), Some(lecture)) = (output, lecture::lock(tx, self.lecture_id).await?) else {
            // Both ways of deleting a lecture cancel this job first. The row was removed by other hands, then, and nobody
            // has enqueued a clean-up of its files.
            let cleanup = cleanup_orphans::targeted(self.lecture_id);
            return Ok(Commit::cancelled("the lecture was deleted").then(cleanup));
        };
        sqlx::query(
            "-- transcribe::commit
             UPDATE lectures SET transcript_storage_key = $2, status = 'completed', error_message = NULL
             WHERE id = $1",
        )
        .bind(self.lecture_id)
        .bind(keys::transcript_json(self.lecture_id))
        .execute(tx)
        .await?;
        let result = serde_json::to_value(transcribed).expect("plain data is JSON");
        let commit = Commit::done().with_result(result);
        // What a client uploaded was kept for another attempt at any stage, and pieces for one of this stage; there is none any
        // more.
        let left = lecture.stream_url == UPLOADED || transcribed.leaves_pieces;
        Ok(if left { commit.then(cleanup_orphans::targeted(self.lecture_id)) } else { commit })
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

fn engine_missing() -> JobError {
    JobError::host_fault(
        "engine-missing",
        "This worker has no speech engine. Start one with BEDEL_ENGINE=embedded, or give this one no transcribe slots.",
    )
}

/// The stored audio as a local file, and what is to be heard in it, decoded into a file below `scratch`.
async fn decode(
    ctx: &Environment,
    key: &str,
    scratch: &Scratch,
) -> Result<(PathBuf, DecodedAudio), JobError> {
    let audio = stored_audio(ctx, key, scratch).await?;
    let decoded = scratch.path.join("audio.f32");
    match ctx.media.decode_pcm(&audio, &decoded).await {
        Err(MediaError::SourceMissing) => return Err(audio_missing()),
        done => done?,
    }
    Ok((audio, DecodedAudio::open(&decoded)?))
}

/// Both files under their final keys, or an error. A reader that sees the row's key finds them complete.
async fn store(
    ctx: &Environment,
    attempt: &Attempt,
    lecture_id: Uuid,
    transcript: &Transcript,
) -> Result<(), JobError> {
    let payload = serde_json::to_vec(transcript).expect("plain data is JSON");
    let (json, captions) = (
        keys::transcript_json_temp(lecture_id, attempt.lease),
        keys::transcript_vtt_temp(lecture_id, attempt.lease),
    );
    ctx.storage.put_bytes(&json, Bytes::from(payload)).await?;
    ctx.storage.put_bytes(&captions, Bytes::from(vtt::render(transcript))).await?;
    attempt.check_lease().await?;
    // The captions first: the row names the payload, and where that exists the captions do too.
    let renames = [(captions, keys::transcript_vtt(lecture_id)), (json, keys::transcript_json(lecture_id))];
    for (from, to) in renames {
        match ctx.storage.rename(&from, &to).await {
            // Only a newer lease, or the clean-up after a deletion, removes what this one has just stored.
            Err(StorageError::Missing { .. }) => {
                return Err(JobError::retry(
                    "storage",
                    "the transcript was removed while it was being stored",
                ));
            }
            renamed => renamed?,
        }
    }
    Ok(())
}
