//! Finished pieces of a long recording, in the storage, where any attempt on any host finds them.
//!
//! A piece's name says of which sound it is and by which engine it was made, so it can only be found by an attempt that would
//! make the same. That is why an attempt which was rescued while it stood still does no harm when it writes one.

use std::fs::File;
use std::path::Path;

use bedel_queue::JobError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::blocking::blocking;
use crate::hexadecimal::sha256;
use crate::speech::{EngineInfo, RawSegment};
use crate::stage::disk;
use crate::storage::{Storage, StorageError, keys};

/// Largest piece that is read, in bytes. Ten minutes of speech have some 20 kB.
const MAX_PIECE_BYTES: u64 = 16 * 1024 * 1024;

/// Grows when pieces are made in another way, so that those of before are not found.
const VERSION: u32 = 1;

/// A piece that was transcribed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Finished {
    /// Its first sample in the recording.
    pub(super) start: u64,
    /// The first sample of the next piece.
    pub(super) end: u64,
    pub(super) language: String,
    /// With times from the start of the piece.
    pub(super) segments: Vec<RawSegment>,
}

/// Where the pieces of one lecture are.
#[derive(Debug)]
pub(super) struct Shelf<'a> {
    storage: &'a Storage,
    lecture_id: Uuid,
    mark: String,
}

impl<'a> Shelf<'a> {
    /// For what `engine` hears in `audio`, a local file.
    pub(super) async fn open(
        storage: &'a Storage,
        lecture_id: Uuid,
        engine: &EngineInfo,
        audio: &Path,
    ) -> Result<Self, JobError> {
        let audio = audio.to_owned();
        let sound = blocking(move || sha256(File::open(audio)?)).await.map_err(|error| disk(&error))?;
        let EngineInfo { engine, model, language } = engine;
        let made_of = (VERSION, sound, engine, model, language);
        let mut mark =
            sha256(&*serde_json::to_vec(&made_of).expect("plain data is JSON")).expect("it is in memory");
        mark.truncate(32);
        Ok(Self { storage, lecture_id, mark })
    }

    /// The piece that begins at this sample of `all`, if it is there. One that cannot be read is made again.
    pub(super) async fn find(&self, start: u64, all: u64) -> Result<Option<Finished>, JobError> {
        let key = keys::transcript_piece(self.lecture_id, &self.mark, start);
        let bytes = match self.storage.get_bytes(&key, MAX_PIECE_BYTES).await {
            Err(StorageError::Missing { .. }) => return Ok(None),
            read => read?,
        };
        let piece = serde_json::from_slice(&bytes).ok();
        Ok(piece.filter(|piece: &Finished| piece.start == start && (start + 1..=all).contains(&piece.end)))
    }

    /// Stores a piece. It is there, whole, when this returns.
    pub(super) async fn put(&self, piece: &Finished) -> Result<(), JobError> {
        let key = keys::transcript_piece(self.lecture_id, &self.mark, piece.start);
        let bytes = serde_json::to_vec(piece).expect("plain data is JSON");
        Ok(self.storage.put_bytes(&key, Bytes::from(bytes)).await?)
    }
}
