//! Finished pieces of a long recording, kept in the storage for the next attempt on any host.
//!
//! A piece's key contains a fingerprint of sound, engine and model. Only an attempt that would produce the
//! same piece finds it, so a late write by a rescued attempt does no harm.

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

use crate::environment::Environment;
use crate::kinds::Transcribe;
use crate::scratch::Scratch;

/// Largest stored piece that is read, in bytes. Ten minutes of speech take some 20 kB, a server's own format
/// of them up to a million.
const MAX_PIECE_BYTES: u64 = 64 * 1024 * 1024;

/// Time limit for storing a finished piece, retries included.
const STORE_TIMEOUT: Duration = Duration::from_secs(900);

/// Pause between two tries to store a finished piece.
const STORE_RETRY_PAUSE: Duration = Duration::from_secs(2);

/// After this time an attempt ends with its current piece, well before the kind's timeout. The next attempt
/// resumes.
const SOFT_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// Part of the fingerprint. Raise it when pieces are made in another way: older ones are then ignored.
const FINGERPRINT_VERSION: u32 = 4;

/// State of a transcription, for people and for the queue: a crash does not count if the checkpoint advanced.
/// The pieces themselves are in the storage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Checkpoint {
    pieces: usize,
    /// Seconds of transcribed audio.
    seconds: f64,
    /// Seconds of audio in total.
    of: f64,
    /// Seconds of audio that the latest attempt transcribes per second. `lecture::view` reads `speed` and
    /// `of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
    /// The call to a server that has not returned a result yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<PaidCall>,
}

/// The stored pieces of one lecture, as its attempt reads and writes them.
pub(super) struct StoredPieces<'a> {
    storage: &'a Storage,
    attempt: &'a Attempt,
    lecture_id: Uuid,
    scratch: PathBuf,
    fingerprint: String,
    /// False for a short recording that this process transcribes itself: another attempt starts from its
    /// beginning.
    is_resumable: bool,
    begun: Instant,
    /// Age at which the job ends with its current attempt, unless that attempt completes it.
    give_up_after: Duration,
    checkpoint: Mutex<Checkpoint>,
}

impl<'a> StoredPieces<'a> {
    /// Opens the pieces that `engine` makes of the local file `audio`, decoded to `sound`.
    pub(super) async fn open(
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
            fingerprint: fingerprint(engine, audio).await?,
            is_resumable: engine.is_remote() || sound.samples() > engine.max_samples(),
            begun: Instant::now(),
            checkpoint: Mutex::new(attempt.checkpoint().unwrap_or_default()),
        })
    }

    /// True if the next attempt can resume. Pieces may then be stored, which a completed lecture does not
    /// need.
    pub(super) fn is_resumable(&self) -> bool {
        self.is_resumable
    }

    /// Retries for a while: the piece may have been paid for.
    async fn store_piece(&self, piece: &Piece) -> Result<(), JobError> {
        let key = keys::transcript_piece(self.lecture_id, &self.fingerprint, piece.start);
        let bytes = Bytes::from(serde_json::to_vec(piece).expect("plain data is JSON"));
        let deadline = Instant::now() + STORE_TIMEOUT;
        loop {
            match self.storage.put_bytes(&key, bytes.clone()).await {
                Err(error) if Instant::now() < deadline => {
                    tracing::warn!(%error, "storing a finished piece failed: retrying");
                }
                outcome => return Ok(outcome?),
            }
            tokio::select! {
                () = self.attempt.cancellation().cancelled() => return Err(JobError::lost_lease()),
                () = tokio::time::sleep(STORE_RETRY_PAUSE) => {}
            }
        }
    }

    /// Waits during a database outage.
    async fn update_checkpoint(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), JobError> {
        let changed = {
            let mut checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut checkpoint);
            checkpoint.clone()
        };
        self.attempt.save_checkpoint(&changed).await
    }
}

impl CallLog for StoredPieces<'_> {
    fn paid_call(&self, chunk: &str) -> PaidCall {
        let checkpoint = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let known = checkpoint.order.as_ref().filter(|order| order.chunk == chunk);
        known.cloned().unwrap_or_else(|| PaidCall { chunk: chunk.to_owned(), ..PaidCall::default() })
    }

    /// Records the call in the checkpoint, whose statement checks the lease. Waits during a database outage: the
    /// lease cannot be checked then.
    fn record<'a>(&'a self, order: &'a PaidCall) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async {
            let order = Some(order.clone());
            self.update_checkpoint(|checkpoint| checkpoint.order = order).await.map_err(EngineError::CallLog)
        })
    }
}

impl PieceStore for StoredPieces<'_> {
    type Error = JobError;

    fn chunk_name(&self, samples: &Range<u64>) -> String {
        // A retry by hand is another job: its name differs, so the server does not repeat an old failure.
        format!("{}-{}-{}-{}", self.attempt.job_id.simple(), self.fingerprint, samples.start, samples.end)
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Ignores an unreadable piece: it is transcribed again.
    async fn find_piece(&self, start: u64, sound: &DecodedAudio) -> Result<Option<Piece>, JobError> {
        if !self.is_resumable {
            return Ok(None);
        }
        let key = keys::transcript_piece(self.lecture_id, &self.fingerprint, start);
        let stored: Option<Piece> = match self.storage.get_bytes(&key, MAX_PIECE_BYTES).await {
            Err(StorageError::Missing { .. } | StorageError::TooLarge { .. }) => None,
            read => serde_json::from_slice(&read?).ok(),
        };
        Ok(stored.filter(|piece| piece.start == start && (start + 1..=sound.samples()).contains(&piece.end)))
    }

    async fn save_piece(
        &self,
        piece: &Piece,
        number: usize,
        speed: f64,
        sound: &DecodedAudio,
    ) -> Result<(), JobError> {
        if !self.is_resumable {
            return Ok(());
        }
        self.store_piece(piece).await?;
        let (seconds, of) = (seconds(piece.end), seconds(sound.samples()));
        let now = Checkpoint { pieces: number, seconds, of, speed: Some(speed), order: None };
        self.update_checkpoint(|checkpoint| *checkpoint = now).await?;
        let age = Duration::from_secs_f64(self.attempt.age_seconds.max(0.0)) + self.begun.elapsed();
        let is_overdue = self.begun.elapsed() > SOFT_TIMEOUT && age < self.give_up_after;
        if is_overdue && piece.end < sound.samples() { Err(continue_later()) } else { Ok(()) }
    }
}

/// Ends a long attempt between two pieces, which costs no budget.
fn continue_later() -> JobError {
    JobError::wait("goes-on", "The recording is long and is still being transcribed.", Duration::from_secs(1))
}

/// Fingerprint of the sound, the engine with its model and settings, and [`FINGERPRINT_VERSION`].
async fn fingerprint(engine: &Arc<dyn Engine>, audio: &Path) -> Result<String, JobError> {
    let (engine, audio) = (Arc::clone(engine), audio.to_owned());
    let digested =
        tokio::task::spawn_blocking(move || Ok((sha256(File::open(audio)?)?, engine.fingerprint())));
    let (digest, engine) =
        digested.await.map_err(io::Error::from).flatten().map_err(|error| JobError::local_disk(&error))?;
    let input = serde_json::to_vec(&(FINGERPRINT_VERSION, digest, engine?)).expect("plain data is JSON");
    Ok(hex::encode(&Sha256::digest(&input)[..16]))
}
