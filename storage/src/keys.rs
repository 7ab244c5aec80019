//! Storage keys: functions that make them, and [`parse`] for keys in a listing.

use uuid::Uuid;

use super::error::StorageError;

/// The directories of lectures' and documents' files. The search for orphans lists all of them.
pub const DIRECTORIES: [&str; 6] =
    ["audio", "audio_tmp", "transcripts", "documents", "lecture_chunks", "document_chunks"];

/// A lecture's audio.
#[must_use]
pub fn audio(lecture_id: Uuid) -> String {
    format!("audio/{lecture_id}.m4a")
}

/// A lecture's audio while an attempt writes it, before the rename to [`audio`].
#[must_use]
pub fn audio_temp(lecture_id: Uuid, lease: Uuid) -> String {
    format!("audio_tmp/{lecture_id}/{lease}.m4a")
}

/// A client's upload for a lecture. It cannot be fetched again.
#[must_use]
pub fn upload(lecture_id: Uuid, upload_id: Uuid) -> String {
    format!("audio_tmp/{lecture_id}/upload-{upload_id}")
}

/// The directory of a lecture's temporary objects, including those of its transcript.
#[must_use]
pub fn audio_temp_prefix(lecture_id: Uuid) -> String {
    format!("audio_tmp/{lecture_id}/")
}

/// A lecture's transcript payload.
#[must_use]
pub fn transcript_json(lecture_id: Uuid) -> String {
    format!("transcripts/{lecture_id}.json")
}

/// A lecture's captions.
#[must_use]
pub fn transcript_vtt(lecture_id: Uuid) -> String {
    format!("transcripts/{lecture_id}.vtt")
}

/// A transcript payload while an attempt writes it, before the rename to [`transcript_json`].
#[must_use]
pub fn transcript_json_temp(lecture_id: Uuid, lease: Uuid) -> String {
    format!("audio_tmp/{lecture_id}/{lease}.json")
}

/// Captions while an attempt writes them, before the rename to [`transcript_vtt`].
#[must_use]
pub fn transcript_vtt_temp(lecture_id: Uuid, lease: Uuid) -> String {
    format!("audio_tmp/{lecture_id}/{lease}.vtt")
}

/// A finished piece of an unfinished transcript. `fingerprint` is of the sound and the engine, `start` is its first sample.
#[must_use]
pub fn transcript_piece(lecture_id: Uuid, fingerprint: &str, start: u64) -> String {
    format!("audio_tmp/{lecture_id}/piece-{fingerprint}-{start}.json")
}

/// Chunks of a lecture's transcript, written by other programs that share the storage.
#[must_use]
pub fn lecture_chunks(lecture_id: Uuid) -> String {
    format!("lecture_chunks/{lecture_id}.json")
}

/// A document's file.
#[must_use]
pub fn documents(document_id: Uuid) -> String {
    format!("documents/{document_id}.pdf")
}

/// The kind of object that a key names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A lecture's audio.
    Audio,
    /// A lecture's transcript payload.
    TranscriptJson,
    /// A lecture's captions.
    TranscriptVtt,
    /// Chunks of a transcript, written by other programs that share the storage.
    LectureChunks,
    /// A temporary object of a lecture's attempt.
    Temporary,
    /// A finished piece of an unfinished transcript; it was paid for.
    TranscriptPiece,
    /// A client's upload for a lecture; it cannot be fetched again.
    Upload,
    /// A document's file.
    Document,
    /// Chunks of a document, written by other programs that share the storage.
    DocumentChunks,
}

impl Class {
    /// True where the key's id is a document's; otherwise it is a lecture's.
    #[must_use]
    pub fn is_of_document(self) -> bool {
        matches!(self, Self::Document | Self::DocumentChunks)
    }
}

/// The parts of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedKey {
    /// The kind of object.
    pub class: Class,
    /// The lecture's or document's id.
    pub id: Uuid,
    /// The lease of the attempt that wrote it, if the name has one.
    pub lease: Option<Uuid>,
}

/// Parses a key. `None` for a key that neither the functions above nor a known program makes: such a file is left alone.
#[must_use]
pub fn parse(key: &str) -> Option<ParsedKey> {
    let (directory, rest) = key.split_once('/')?;
    let whole = |class, extension: &str| {
        let id = uuid(rest.strip_suffix(extension)?)?;
        Some(ParsedKey { class, id, lease: None })
    };
    match directory {
        "audio" => whole(Class::Audio, ".m4a"),
        "transcripts" => {
            whole(Class::TranscriptJson, ".json").or_else(|| whole(Class::TranscriptVtt, ".vtt"))
        }
        "documents" => whole(Class::Document, ".pdf"),
        "lecture_chunks" => whole(Class::LectureChunks, ".json"),
        "document_chunks" => whole(Class::DocumentChunks, ".json"),
        "audio_tmp" => match rest.split_once('/') {
            Some((id, name)) if !name.contains('/') => {
                let id = uuid(id)?;
                for (beginning, class) in [("upload", Class::Upload), ("piece-", Class::TranscriptPiece)] {
                    if name.starts_with(beginning) {
                        return Some(ParsedKey { class, id, lease: None });
                    }
                }
                Some(ParsedKey { class: Class::Temporary, id, lease: name.get(..36).and_then(uuid) })
            }
            Some(_) => None,
            // A flat name from before temporary objects had directories, such as `{id}_source.mp4`.
            None => {
                let id = uuid(rest.get(..36)?)?;
                Some(ParsedKey { class: Class::Temporary, id, lease: None })
            }
        },
        _ => None,
    }
}

/// Parses a UUID in the spelling of our keys: lower case with hyphens.
fn uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.to_string() == text).then_some(id)
}

/// Checks a key: relative, segments of `[A-Za-z0-9._-]` that are not empty, `.` or `..`; at most 200 bytes.
pub(super) fn location(key: &str) -> Result<object_store::path::Path, StorageError> {
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let invalid =
        || StorageError::InvalidKey { key: key.chars().take(200).filter(|c| !c.is_control()).collect() };
    if key.len() > 200 || !key.split('/').all(segment) {
        return Err(invalid());
    }
    object_store::path::Path::parse(key).map_err(|_| invalid())
}
