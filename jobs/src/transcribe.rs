//! `transcribe`: makes a transcript of the stored audio and stores it.
//!
//! 1. Decode the audio into a scratch directory named after the lease.
//! 2. Transcribe it piece by piece, off the async threads. Finished pieces of a long recording are stored:
//!    the next attempt resumes after them, on any host.
//! 3. Store payload and captions under keys that contain the lease, check the fence, and only then rename
//!    both to their final keys.
//!
//! An attempt first deletes the objects of older leases, so their late renames find nothing.

mod stored_pieces;

use std::path::PathBuf;
use std::time::Duration;

use bedel_media::MediaError;
use bedel_media::conservation::agree;
use bedel_media::sound::SoundChoice;
use bedel_queue::{Attempt, Backoff, Commit, End, Job, JobError, Policy};
use bedel_speech::decoded_audio::seconds;
use bedel_speech::{Choice, Control, DecodedAudio, Transcript, transcribe_pieces, vtt};
use bedel_storage::{StorageError, keys};
use bytes::Bytes;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use self::stored_pieces::StoredPieces;
use crate::audio::{audio_missing, remove_leftovers, stored_audio};
use crate::environment::{Context, Environment};
use crate::error_class::{ErrorClass, OF_STORAGE, names};
use crate::kinds::CleanupOrphans;
pub use crate::kinds::Transcribe;
use crate::lecture::search::index;
use crate::lecture::search::passages::SearchRows;
use crate::lecture::{self, Lecture, UPLOADED};
use crate::options::{self, TranscriptionOptions};
use crate::pipeline::{Stage, stage_hooks};
use crate::scratch::Scratch;

/// Progress once the audio is decoded, at several hundred times the speed of speech.
const PROGRESS_DECODED: f64 = 0.02;
/// Progress once the engine is done; storing follows.
const PROGRESS_TRANSCRIBED: f64 = 0.99;

/// Facts about the stored transcript; the job's result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcribed {
    /// For example `whisper.cpp`.
    pub engine: String,
    /// For example `tiny.en`.
    pub model: String,
    /// The spoken language, as a two- or three-letter code.
    pub language: String,
    /// The sound that was transcribed: which track and channels, and why.
    pub sound: SoundChoice,
    /// Number of segments.
    pub segments: usize,
    /// Number of stretches that lack words: [`Transcript::gaps`].
    pub gaps: usize,
    /// Length of the recording in seconds.
    pub audio_seconds: f64,
    /// Number of pieces.
    pub pieces: usize,
    /// Seconds of audio that this attempt transcribed; earlier attempts did the rest.
    pub transcribed_seconds: f64,
    /// The engine's time for them in seconds, by a monotonic clock.
    pub elapsed_seconds: f64,
    /// `elapsed_seconds` per second of audio: 0.1 is ten times as fast as speech. `None` if nothing was left
    /// to do.
    pub real_time_factor: Option<f64>,
    /// Pieces may be stored, which the transcript makes useless.
    #[serde(skip)]
    pub leaves_pieces: bool,
    /// The transcript's rows for the search.
    #[serde(skip)]
    pub search_rows: SearchRows,
}

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 24] = names(&[
    &OF_STORAGE,
    &[
        ErrorClass::EngineMissing,
        ErrorClass::ModelMissing,
        ErrorClass::Engine,
        ErrorClass::EngineAway,
        ErrorClass::EngineBusy,
        ErrorClass::EngineChoice,
        ErrorClass::Language,
        ErrorClass::EngineRefused,
        ErrorClass::GoesOn,
        ErrorClass::NoSpeech,
        ErrorClass::TooLong,
        ErrorClass::AudioMissing,
        ErrorClass::Incomplete,
        ErrorClass::NotMedia,
        ErrorClass::NoAudio,
        ErrorClass::MediaTool,
        ErrorClass::ToolMissing,
    ],
]);

impl Job for Transcribe {
    const KIND: &'static str = "transcribe";
    type Context = Context;
    /// `None` if the lecture was deleted.
    type Output = Option<Transcribed>;

    /// An attempt is expensive, so there are three. Six hours are enough for the longest recording an engine takes,
    /// at half the speed that was measured on a busy core.
    fn policy() -> Policy {
        Policy {
            queue: "speech",
            max_attempts: 3,
            // A piece takes minutes on a slow host, and a spot machine may die several times before one is
            // done.
            max_crashes: 6,
            backoff: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(6 * 3600),
            error_classes: &ERROR_CLASSES,
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Self::Output, JobError> {
        let mut connection = ctx.pool.acquire().await?;
        let Some(lecture) = lecture::read(&mut connection, self.lecture_id).await? else {
            return Ok(None);
        };
        let options = options::lecture::read(&mut connection, self.lecture_id).await?;
        let choice = self.choice(&options);
        let hints = options::lecture::hints(&mut connection, self.lecture_id, options).await?;
        drop(connection);
        let engine = hints.apply(ctx.engines.as_ref().ok_or_else(engine_missing)?.choose(&choice)?);
        remove_leftovers(ctx, attempt, self.lecture_id).await?;
        let scratch = Scratch::create(&ctx.scratch, attempt.lease).await?;
        let key = lecture.audio_storage_key.ok_or_else(audio_missing)?;
        let (audio, sound, choice) = decode(ctx, &key, &scratch).await?;
        attempt.set_progress(PROGRESS_DECODED);

        let store =
            StoredPieces::open(ctx, attempt, self.lecture_id, &engine, &audio, &sound, &scratch).await?;
        let reporter = attempt.clone();
        let control = Control::new(attempt.cancellation().clone(), move |fraction| {
            reporter.set_progress(PROGRESS_DECODED + (PROGRESS_TRANSCRIBED - PROGRESS_DECODED) * fraction);
        });
        let heard = transcribe_pieces(engine.as_ref(), &sound, &control, &store).await?;
        attempt.set_progress(PROGRESS_TRANSCRIBED);
        let (pieces, samples) = (heard.pieces, heard.samples);
        let (transcribed_seconds, elapsed_seconds) = (seconds(samples), heard.elapsed.as_secs_f64());
        let mut transcript = Transcript::new(engine.describe(), heard.into_raw(), seconds(sound.samples()))?;
        transcript.sound = Some(choice.clone());

        store_transcript(ctx, attempt, self.lecture_id, &transcript).await?;
        attempt.set_progress(1.0);
        Ok(Some(Transcribed {
            sound: choice,
            search_rows: SearchRows::of(&transcript),
            segments: transcript.segments.len(),
            gaps: transcript.gaps.len(),
            engine: transcript.engine,
            model: transcript.model,
            language: transcript.language,
            audio_seconds: transcript.duration,
            pieces,
            transcribed_seconds,
            elapsed_seconds,
            leaves_pieces: store.is_resumable(),
            real_time_factor: (samples > 0).then(|| elapsed_seconds / transcribed_seconds),
        }))
    }

    stage_hooks!();
}

impl Stage for Transcribe {
    fn lecture_id(&self) -> Uuid {
        self.lecture_id
    }

    async fn store(
        &self,
        _: &Context,
        _: &Attempt,
        lecture: &Lecture,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let Some(transcribed) = output else { return Ok(self.commit_without_lecture()) };
        let key = keys::transcript_json(self.lecture_id);
        let announcements = lecture::complete(tx, self.lecture_id, &key).await?;
        index::replace(tx, self.lecture_id, lecture.title.as_deref(), &transcribed.search_rows).await?;
        let result = serde_json::to_value(transcribed).expect("plain data is JSON");
        let commit = announcements.into_iter().fold(Commit::done().with_result(result), Commit::then);
        // The upload and the pieces were kept for further attempts, which a completed lecture does not need.
        let has_leftovers = lecture.stream_url == UPLOADED || transcribed.leaves_pieces;
        Ok(if has_leftovers { commit.then(CleanupOrphans::for_lecture(self.lecture_id)) } else { commit })
    }

    /// Bedel cancels this job before it deletes a lecture. Here another program deleted the row, so the files
    /// still need a clean-up.
    fn commit_without_lecture(&self) -> Commit {
        Commit::cancelled("the lecture was deleted").then(CleanupOrphans::for_lecture(self.lecture_id))
    }

    /// A completed lecture's new transcript may be stored already, without its rows of the search.
    async fn give_up(end: &End, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        match end.subject {
            Some(lecture_id) => index::mark_stale(tx, lecture_id).await,
            None => Ok(()),
        }
    }
}

impl Transcribe {
    /// The engine and model of the job's args, if those name one, else of the lecture's options.
    fn choice(&self, options: &TranscriptionOptions) -> Choice {
        if self.choice != Choice::default() {
            return self.choice.clone();
        }
        Choice { engine: options.engine, model: options.model.clone() }
    }
}

fn engine_missing() -> JobError {
    JobError::host_fault(
        "engine-missing",
        "This worker has no speech engine. Start one with BEDEL_ENGINE=embedded, or give this one no transcribe slots.",
    )
}

/// The stored audio as a local file, its samples, decoded into a file below `scratch`, and the track and channels
/// that they come from.
async fn decode(
    ctx: &Environment,
    key: &str,
    scratch: &Scratch,
) -> Result<(PathBuf, DecodedAudio, SoundChoice), JobError> {
    let audio = stored_audio(ctx, key, scratch).await?;
    let decoded = scratch.path.join("audio.f32");
    let choice = match ctx.media.decode_pcm(&audio, &decoded).await {
        Err(MediaError::SourceMissing) => return Err(audio_missing()),
        done => done?,
    };
    let sound = DecodedAudio::open(&decoded)?;
    // By the count of packets: a clock that is wrong would misguide the decoder and this check alike.
    let (stored, heard) = (ctx.media.compare_clock(&audio).await?.sample_seconds, seconds(sound.samples()));
    if !agree(heard, stored) {
        return Err(JobError::fatal(
            "incomplete",
            format!(
                "The stored audio has {stored:.0} seconds of sound, but {heard:.0} seconds were decoded. Use retry to \
                 download it again."
            ),
        ));
    }
    Ok((audio, sound, choice))
}

/// Stores payload and captions under their final keys. A reader that sees the key in the row finds both
/// complete.
async fn store_transcript(
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
    // Captions first: the row names the payload, and if that exists, the captions must exist too.
    let renames = [(captions, keys::transcript_vtt(lecture_id)), (json, keys::transcript_json(lecture_id))];
    for (from, to) in renames {
        match ctx.storage.rename(&from, &to).await {
            // Only a newer lease or a clean-up after a deletion removes these objects.
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
