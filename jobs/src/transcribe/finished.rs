//! Finished pieces of a long recording, in the storage, where any attempt on any host finds them.
//!
//! A piece's name says of which sound it is and by which engine and model it was made, so it is only found by an attempt that
//! would make as good a one. That is why an attempt which was rescued while it stood still does no harm when it writes one.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bedel_queue::{Attempt, Job, JobError};
use bedel_speech::decoded_audio::seconds;
use bedel_speech::digest::sha256;
use bedel_speech::{CallLog, DecodedAudio, Engine, EngineError, PaidCall, Piece, PieceStore};
use bedel_storage::{Storage, StorageError, keys};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Transcribe;
use crate::environment::Environment;
use crate::stage::Scratch;

/// Largest piece that is read, in bytes. Ten minutes of speech have some 20 kB, and a server's own view of them a million.
const MAX_PIECE_BYTES: u64 = 64 * 1024 * 1024;

/// How long a finished piece waits for a storage that does not take it, and how long until it tries again.
const PATIENCE: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_secs(2);

/// After so long an attempt ends with the piece it is at, well before the time that it may take in all: the next one goes on.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(4 * 3600);

/// Grows when pieces are made in another way, so that those of before are not found.
const VERSION: u32 = 2;

/// How far a transcription is, for people and for the queue, which does not count a crash behind which it went on. The finished
/// pieces themselves are in the storage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Checkpoint {
    pieces: usize,
    /// Of audio that are finished.
    seconds: f64,
    /// Of audio in all.
    of: f64,
    /// Of audio, transcribed in a second by the attempt that was at it last. `lecture::view` reads this one and `of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
    /// What a server was asked for and has not given yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<PaidCall>,
}

/// The pieces of one attempt's lecture.
pub(super) struct Finished<'a> {
    storage: &'a Storage,
    attempt: &'a Attempt,
    lecture_id: Uuid,
    scratch: PathBuf,
    mark: String,
    /// False for a short recording that this process transcribes itself: it has to be done again as a whole where it has to be
    /// done again.
    is_kept: bool,
    begun: Instant,
    /// Age at which its job ends with the attempt, unless that completes it.
    give_up_after: Duration,
    checkpoint: Mutex<Checkpoint>,
}

impl<'a> Finished<'a> {
    /// Of what `engine` hears in `audio`, a local file that was decoded to `sound`.
    pub(super) async fn of(
        ctx: &'a Environment,
        attempt: &'a Attempt,
        lecture_id: Uuid,
        engine: &Arc<dyn Engine>,
        audio: &Path,
        sound: &DecodedAudio,
        scratch: &Scratch,
    ) -> Result<Self, JobError> {
        Ok(Self {
            storage: &ctx.storage,
            give_up_after: ctx.settings.give_up_after.unwrap_or(Transcribe::policy().give_up_after),
            attempt,
            lecture_id,
            scratch: scratch.path.clone(),
            mark: mark(engine, audio).await?,
            is_kept: engine.is_remote() || sound.samples() > engine.max_samples(),
            begun: Instant::now(),
            checkpoint: Mutex::new(attempt.checkpoint().unwrap_or_default()),
        })
    }

    /// True where something may have been stored that is of no use once the lecture is complete.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// What was paid for is not thrown away where the storage does not take it at once.
    async fn put(&self, piece: &Piece) -> Result<(), JobError> {
        let key = keys::transcript_piece(self.lecture_id, &self.mark, piece.start);
        let bytes = Bytes::from(serde_json::to_vec(piece).expect("plain data is JSON"));
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.storage.put_bytes(&key, bytes.clone()).await {
                Err(error) if Instant::now() < deadline => {
                    tracing::warn!(%error, "a finished piece could not be stored yet");
                }
                outcome => return Ok(outcome?),
            }
            tokio::select! {
                () = self.attempt.cancellation().cancelled() => return Err(JobError::lost_lease()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Waits while the database is away.
    async fn save(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), JobError> {
        let changed = {
            let mut checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut checkpoint);
            checkpoint.clone()
        };
        self.attempt.save_checkpoint(&changed).await
    }
}

impl CallLog for Finished<'_> {
    fn paid_call(&self, chunk: &str) -> PaidCall {
        let checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let known = checkpoint.order.as_ref().filter(|order| order.chunk == chunk);
        known.cloned().unwrap_or_else(|| PaidCall { chunk: chunk.to_owned(), ..PaidCall::default() })
    }

    /// In the checkpoint, whose statement finds out whether this attempt still has the job; while the database is away nobody knows.
    fn record<'a>(&'a self, order: &'a PaidCall) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async {
            let order = Some(order.clone());
            self.save(|checkpoint| checkpoint.order = order).await.map_err(EngineError::CallLog)
        })
    }
}

impl PieceStore for Finished<'_> {
    type Error = JobError;

    fn chunk_name(&self, samples: &Range<u64>) -> String {
        // A person's retry is another job: it asks for something new where the one before failed for good.
        format!("{}-{}-{}-{}", self.attempt.job_id.simple(), self.mark, samples.start, samples.end)
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// One that cannot be read is made again.
    async fn find_piece(&self, start: u64, sound: &DecodedAudio) -> Result<Option<Piece>, JobError> {
        if !self.is_kept {
            return Ok(None);
        }
        let key = keys::transcript_piece(self.lecture_id, &self.mark, start);
        let found: Option<Piece> = match self.storage.get_bytes(&key, MAX_PIECE_BYTES).await {
            Err(StorageError::Missing { .. } | StorageError::TooLarge { .. }) => None,
            read => serde_json::from_slice(&read?).ok(),
        };
        Ok(found.filter(|piece| piece.start == start && (start + 1..=sound.samples()).contains(&piece.end)))
    }

    async fn save_piece(
        &self,
        piece: &Piece,
        number: usize,
        speed: f64,
        sound: &DecodedAudio,
    ) -> Result<(), JobError> {
        if !self.is_kept {
            return Ok(());
        }
        self.put(piece).await?;
        let (seconds, of) = (seconds(piece.end), seconds(sound.samples()));
        let now = Checkpoint { pieces: number, seconds, of, speed: Some(speed), order: None };
        self.save(|checkpoint| *checkpoint = now).await?;
        let age = Duration::from_secs_f64(self.attempt.age_seconds.max(0.0)) + self.begun.elapsed();
        let is_long = self.begun.elapsed() > LONGEST_ATTEMPT && age < self.give_up_after;
        if is_long && piece.end < sound.samples() { Err(goes_on()) } else { Ok(()) }
    }
}

/// Work of many hours is not cut off in the middle of a piece, and no attempt is spent on it.
fn goes_on() -> JobError {
    JobError::wait("goes-on", "The recording is long and is still being transcribed.", Duration::from_secs(1))
}

/// What pieces of this sound by this engine are known by.
async fn mark(engine: &Arc<dyn Engine>, audio: &Path) -> Result<String, JobError> {
    let (engine, audio) = (Arc::clone(engine), audio.to_owned());
    let looked = tokio::task::spawn_blocking(move || Ok((sha256(File::open(audio)?)?, engine.fingerprint())));
    let (digest, engine) =
        looked.await.map_err(io::Error::from).flatten().map_err(|error| JobError::local_disk(&error))?;
    let made_of = serde_json::to_vec(&(VERSION, digest, engine?)).expect("plain data is JSON");
    Ok(hex::encode(&Sha256::digest(&made_of)[..16]))
}
