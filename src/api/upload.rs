//! Files that clients send as multipart forms (RFC 7578). A file goes to the storage piece by piece, with its SHA-256 on the
//! way; nothing but a piece of it is ever in memory.

use std::time::Duration;

use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Multipart, Request};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::ApiState;
use super::problem::Problem;

/// A client that sends nothing for so long has left.
const STALLED_AFTER: Duration = Duration::from_secs(20);

/// Longest upload. It must stay well below the hour after which cleanup-orphans takes an upload for left behind.
const UPLOAD_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Largest part of a form that is no file, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Bytes of a file that are looked at before any of it is stored.
const HEAD_BYTES: usize = bedel_jobs::fetch::body::HEAD_BYTES;

/// A client that is still sending cannot read a refusal, so for so long what it sends is read and dropped.
const DRAIN_WITHIN: Duration = Duration::from_secs(20);

/// What a form is read into, part by part.
pub(super) trait Form {
    /// Takes one part, a text or a file; one that it does not know is passed over.
    async fn part(&mut self, part: Part<'_>) -> Result<(), Problem>;
}

/// One part of a form.
pub(super) struct Part<'a>(Field<'a>);

/// A file that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) size: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub(super) sha256: String,
}

/// Reads the form to its end, within [`UPLOAD_WITHIN`].
pub(super) async fn read(request: Request, form: &mut impl Form) -> Result<(), Problem> {
    let mut multipart = Multipart::from_request(request, &()).await.map_err(no_form)?;
    let outcome =
        timeout(UPLOAD_WITHIN, parts(&mut multipart, form)).await.unwrap_or_else(|_| Err(too_slow()));
    if outcome.is_err() {
        // What the client does meanwhile changes nothing about the answer.
        let _ = timeout(DRAIN_WITHIN, drain(&mut multipart)).await;
    }
    outcome
}

async fn parts(multipart: &mut Multipart, form: &mut impl Form) -> Result<(), Problem> {
    loop {
        let next = timeout(STALLED_AFTER, multipart.next_field()).await.map_err(|_| too_slow())?;
        match next.map_err(|error| broken(&error))? {
            Some(field) => form.part(Part(field)).await?,
            None => return Ok(()),
        }
    }
}

async fn drain(multipart: &mut Multipart) {
    while let Ok(Some(mut field)) = multipart.next_field().await {
        while let Ok(Some(_)) = field.chunk().await {}
    }
}

impl Part<'_> {
    pub(super) fn name(&self) -> &str {
        self.0.name().unwrap_or_default()
    }

    pub(super) fn file_name(&self) -> Option<&str> {
        self.0.file_name()
    }

    /// Its declared type without parameters, in small letters; empty where none is declared.
    pub(super) fn content_type(&self) -> String {
        let declared = self.0.content_type().unwrap_or_default();
        declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// A text of at most [`MAX_TEXT_BYTES`].
    pub(super) async fn text(mut self, field: &'static str) -> Result<String, Problem> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > MAX_TEXT_BYTES {
                return Err(Problem::too_large(format!(
                    "{field} is larger than {} KiB.",
                    MAX_TEXT_BYTES / 1024
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        String::from_utf8(bytes)
            .map_err(|_| Problem::invalid_field(field, "utf-8", "this must be a text in UTF-8"))
    }

    /// Stores a file of at most `max` bytes under `key`, once `looks_right` was content with its first bytes. Whatever goes
    /// wrong, nothing is left there.
    pub(super) async fn store(
        mut self,
        state: &ApiState,
        key: &str,
        max: u64,
        looks_right: impl FnOnce(&[u8]) -> Result<(), Problem>,
    ) -> Result<Received, Problem> {
        let mut head = Vec::new();
        let mut ended = false;
        while head.len() < HEAD_BYTES && !ended {
            match self.chunk().await? {
                Some(chunk) => head.extend_from_slice(&chunk),
                None => ended = true,
            }
        }
        looks_right(&head)?;
        let mut writer =
            state.environment.storage.writer(key).await.map_err(|error| Problem::storage(&error))?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut next = Some(Bytes::from(head));
        while let Some(chunk) = next {
            size += chunk.len() as u64;
            if size > max {
                // The storage's own trouble with forgetting it changes nothing: a clean-up finds it.
                let _ = writer.abort().await;
                return Err(Problem::too_large(format!(
                    "The file is larger than {} MiB, the most that is accepted here.",
                    max / 1024 / 1024
                )));
            }
            hash.update(&chunk);
            writer.write(chunk).await.map_err(|error| Problem::storage(&error))?;
            next = if ended { None } else { self.chunk().await? };
        }
        writer.finish().await.map_err(|error| Problem::storage(&error))?;
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Received { size, sha256 })
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = timeout(STALLED_AFTER, self.0.chunk()).await.map_err(|_| too_slow())?;
        chunk.map_err(|error| broken(&error))
    }
}

/// Deletes what was stored for an upload that is not used. Where that fails, a clean-up does it.
pub(super) async fn forget(state: &ApiState, key: &str) {
    if let Err(error) = state.environment.storage.delete(key).await {
        tracing::warn!(%error, "an upload that is not used could not be deleted; cleanup-orphans will");
    }
}

fn no_form(rejection: MultipartRejection) -> Problem {
    match rejection {
        MultipartRejection::InvalidBoundary(_) => Problem::unsupported_media(
            "The body must be a form, with `Content-Type: multipart/form-data; boundary=…`.",
        ),
        _ => Problem::bad_request("The body cannot be read."),
    }
}

fn broken(_: &MultipartError) -> Problem {
    Problem::bad_request("The form is not valid multipart, or it ended early.")
}

fn too_slow() -> Problem {
    Problem::bad_request("The form arrived too slowly.")
}
