//! Finished pieces of a long recording, in the storage, where any attempt on any host finds them.
//!
//! A piece's name says of which sound it is and by which engine and model it was made, so it is only found by an attempt that
//! would make as good a one. That is why an attempt which was rescued while it stood still does no harm when it writes one.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_queue::{Attempt, JobError};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::blocking::blocking;
use crate::hexadecimal::{hexadecimal, sha256};
use crate::speech::decoded::seconds;
use crate::speech::{Decoded, Engine, Keep, Piece, pieces};
use crate::stage::disk;
use crate::storage::{Storage, StorageError, keys};

/// Largest piece that is read, in bytes. Ten minutes of speech have some 20 kB.
const MAX_PIECE_BYTES: u64 = 16 * 1024 * 1024;

/// How long a finished piece waits for a storage that does not take it, and how long until it tries again.
const PATIENCE: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_secs(2);

/// Grows when pieces are made in another way, so that those of before are not found.
const VERSION: u32 = 1;

/// How far a transcription is, for people and for the queue, which does not count a crash behind which it went on. What
/// a later attempt goes on from is in the storage.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Checkpoint {
    pieces: usize,
    /// Of audio that are finished.
    seconds: f64,
    /// Of audio in all.
    of: f64,
}

/// The pieces of one attempt's lecture.
pub(super) struct Finished<'a> {
    attempt: &'a Attempt,
    /// None for a recording of one piece: it has to be done again as a whole where it has to be done again.
    shelf: Option<Shelf<'a>>,
}

/// Where the pieces of one lecture are.
#[derive(Debug)]
struct Shelf<'a> {
    storage: &'a Storage,
    lecture_id: Uuid,
    mark: String,
}

impl<'a> Finished<'a> {
    /// Of what `engine` hears in `audio`, a local file that was decoded to `sound`.
    pub(super) async fn of(
        storage: &'a Storage,
        attempt: &'a Attempt,
        lecture_id: Uuid,
        engine: &Arc<dyn Engine>,
        audio: &Path,
        sound: &Decoded,
    ) -> Result<Self, JobError> {
        let shelf = match sound.samples() > pieces::LONGEST {
            true => Some(Shelf { storage, lecture_id, mark: mark(engine, audio).await? }),
            false => None,
        };
        Ok(Self { attempt, shelf })
    }
}

impl Finished<'_> {
    /// What was paid for is not thrown away where the storage does not take it at once.
    async fn put(&self, shelf: &Shelf<'_>, piece: &Piece) -> Result<(), JobError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match shelf.put(piece).await {
                Err(error) if Instant::now() < deadline => {
                    tracing::warn!(%error, "a finished piece could not be stored yet");
                }
                outcome => return outcome,
            }
            tokio::select! {
                () = self.attempt.cancellation().cancelled() => return Err(JobError::lost_lease()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

impl Keep for Finished<'_> {
    type Error = JobError;

    /// One that cannot be read is made again.
    async fn find(&self, start: u64, sound: &Decoded) -> Result<Option<Piece>, JobError> {
        let Some(shelf) = &self.shelf else { return Ok(None) };
        let found = shelf.find(start).await?;
        Ok(found.filter(|piece| piece.start == start && (start + 1..=sound.samples()).contains(&piece.end)))
    }

    async fn keep(&self, piece: &Piece, number: usize, sound: &Decoded) -> Result<(), JobError> {
        let Some(shelf) = &self.shelf else { return Ok(()) };
        self.put(shelf, piece).await?;
        // Waits while the database is away, so no further piece is paid for that nobody may be entitled to.
        let (seconds, of) = (seconds(piece.end), seconds(sound.samples()));
        self.attempt.save_checkpoint(&Checkpoint { pieces: number, seconds, of }).await
    }
}

impl Shelf<'_> {
    async fn find(&self, start: u64) -> Result<Option<Piece>, JobError> {
        let key = keys::transcript_piece(self.lecture_id, &self.mark, start);
        match self.storage.get_bytes(&key, MAX_PIECE_BYTES).await {
            Err(StorageError::Missing { .. } | StorageError::TooLarge { .. }) => Ok(None),
            read => Ok(serde_json::from_slice(&read?).ok()),
        }
    }

    /// The piece is there, whole, when this returns.
    async fn put(&self, piece: &Piece) -> Result<(), JobError> {
        let key = keys::transcript_piece(self.lecture_id, &self.mark, piece.start);
        let bytes = serde_json::to_vec(piece).expect("plain data is JSON");
        Ok(self.storage.put_bytes(&key, Bytes::from(bytes)).await?)
    }
}

/// What pieces of this sound by this engine are known by.
async fn mark(engine: &Arc<dyn Engine>, audio: &Path) -> Result<String, JobError> {
    let (engine, audio) = (Arc::clone(engine), audio.to_owned());
    let looked = blocking(move || Ok((sha256(File::open(audio)?)?, engine.mark())));
    let (digest, engine) = looked.await.map_err(|error| disk(&error))?;
    let made_of = serde_json::to_vec(&(VERSION, digest, engine?)).expect("plain data is JSON");
    Ok(hexadecimal(&Sha256::digest(&made_of)[..16]))
}
