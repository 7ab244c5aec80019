//! Users' documents: PDF files, each of exactly one user, the same bytes once for each course.
//!
//! The file is stored before its row is inserted and deleted after its row is gone, so that a row never stands without its
//! file: a crash in between leaves a file without a row, which cleanup-orphans collects.

use bedel_storage::keys;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::user::ensure_user_exists;

/// Longest file name that is kept, in characters.
const MAX_NAME_CHARS: usize = 255;

/// What a PDF begins with (ISO 32000-2, 7.5.2).
pub const MAGIC: &[u8] = b"%PDF-";

/// `documents.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize, utoipa::ToSchema)]
#[sqlx(type_name = "document_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum DocumentStatus {
    /// The file is stored.
    Uploaded,
    /// The file was lost.
    Failed,
}

/// A document as its owner sees it. Serialises to what the API answers.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Document {
    /// The document.
    pub id: Uuid,
    /// Its course.
    pub course_id: Uuid,
    /// As its owner named it, without folders and characters that mislead.
    pub filename: String,
    /// Always `application/pdf` for what came in here.
    pub mime_type: String,
    /// Size of the file in bytes.
    pub size_bytes: i64,
    /// Not filled yet.
    pub page_count: Option<i32>,
    /// Whether its file is stored.
    pub status: DocumentStatus,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
    /// Logical storage key of the file; never shown.
    #[serde(skip)]
    pub storage_key: String,
}

/// A file that is stored under the key of `id` already.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// The new document's id, which is part of its file's key.
    pub id: Uuid,
    /// Its course; one that nobody knows is accepted, as the schema has no foreign key.
    pub course_id: Uuid,
    /// See [`file_name`].
    pub filename: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub checksum: String,
    /// Size in bytes.
    pub size_bytes: i64,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The document, new or found.
    pub id: Uuid,
    /// Its state. A failed one has lost its file: give it the new one, by [`restore`].
    pub status: DocumentStatus,
    /// False where the owner has the same bytes in this course already.
    pub created: bool,
}

/// Makes a document of a stored file, in the caller's transaction, or finds the owner's document with the same bytes.
///
/// # Errors
/// The database's.
pub async fn accept(
    tx: &mut PgConnection,
    owner_id: Uuid,
    document: &NewDocument,
) -> Result<Accepted, sqlx::Error> {
    ensure_user_exists(tx, owner_id).await?;
    // Another round only where somebody deleted the document between the two statements.
    loop {
        let inserted = sqlx::query(
            "-- document::insert
             INSERT INTO documents (id, owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
             VALUES ($1, $2, $3, $4, $5, $6, 'application/pdf', $7)
             ON CONFLICT (owner_id, course_id, checksum) DO NOTHING",
        )
        .bind(document.id)
        .bind(owner_id)
        .bind(document.course_id)
        .bind(&document.filename)
        .bind(keys::documents(document.id))
        .bind(&document.checksum)
        .bind(document.size_bytes)
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 1 {
            return Ok(Accepted { id: document.id, status: DocumentStatus::Uploaded, created: true });
        }
        let found: Option<(Uuid, DocumentStatus)> = sqlx::query_as(
            "-- document::lock_by_checksum
             SELECT id, status FROM documents WHERE owner_id = $1 AND course_id = $2 AND checksum = $3 FOR UPDATE",
        )
        .bind(owner_id)
        .bind(document.course_id)
        .bind(&document.checksum)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some((id, status)) = found {
            return Ok(Accepted { id, status, created: false });
        }
    }
}

/// A document that had lost its file has it again, under its own key. False where the document is gone.
///
/// # Errors
/// The database's.
pub async fn restore(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let restored = sqlx::query(
        "-- document::restore
         UPDATE documents SET status = 'uploaded', storage_key = $2 WHERE id = $1",
    )
    .bind(id)
    .bind(keys::documents(id))
    .execute(connection)
    .await?;
    Ok(restored.rows_affected() == 1)
}

/// Reads a document of `owner_id`. None where it does not exist or is another's.
///
/// # Errors
/// The database's.
pub async fn read(
    connection: &mut PgConnection,
    owner_id: Uuid,
    id: Uuid,
) -> Result<Option<Document>, sqlx::Error> {
    sqlx::query_as("-- document::read\nSELECT * FROM documents WHERE id = $1 AND owner_id = $2")
        .bind(id)
        .bind(owner_id)
        .fetch_optional(connection)
        .await
}

/// The owner's documents of one course, newest first.
///
/// # Errors
/// The database's.
pub async fn of_course(
    connection: &mut PgConnection,
    owner_id: Uuid,
    course_id: Uuid,
) -> Result<Vec<Document>, sqlx::Error> {
    sqlx::query_as(
        "-- document::of_course
         SELECT * FROM documents WHERE owner_id = $1 AND course_id = $2
         ORDER BY created_at DESC, id LIMIT 1000",
    )
    .bind(owner_id)
    .bind(course_id)
    .fetch_all(connection)
    .await
}

/// Removes a document's row and returns the key of its file, to be deleted after the commit. `owner_id` limits it to that
/// user's documents; `None` is for admins. None where there is no such document.
///
/// # Errors
/// The database's.
pub async fn remove(
    connection: &mut PgConnection,
    owner_id: Option<Uuid>,
    id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "-- document::remove
         DELETE FROM documents WHERE id = $1 AND ($2::uuid IS NULL OR owner_id = $2) RETURNING storage_key",
    )
    .bind(id)
    .bind(owner_id)
    .fetch_optional(connection)
    .await
}

/// A client's file name in the form that is kept: its last segment, without control characters and those that turn the
/// direction of writing, at most 255 characters. None where it does not end in `.pdf`, in any case, behind something.
#[must_use]
pub fn file_name(sent: &str) -> Option<String> {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control() && !is_bidirectional_control(*c)).collect();
    let clean = clean.trim();
    let stem = clean.len().checked_sub(4).and_then(|at| clean.split_at_checked(at));
    let (stem, extension) = stem.filter(|(stem, extension)| {
        !stem.trim_matches(['.', ' ']).is_empty() && extension.eq_ignore_ascii_case(".pdf")
    })?;
    let room = MAX_NAME_CHARS - extension.len();
    Some(stem.chars().take(room).chain(extension.chars()).collect())
}

/// Marks, embeddings, overrides and isolates of the Unicode Bidirectional Algorithm (UAX 9, table 1): with one of them
/// `fdp.exe` is shown as `exe.pdf`.
fn is_bidirectional_control(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_without_what_misleads() {
        for (sent, kept) in [
            ("Week 1.pdf", Some("Week 1.pdf")),
            ("naïve 日本.PDF", Some("naïve 日本.PDF")),
            ("../../etc/passwd.pdf", Some("passwd.pdf")),
            ("C:\\lectures\\one.pdf", Some("one.pdf")),
            ("a\u{202e}exe\u{0}\r\n.pdf", Some("aexe.pdf")),
            ("\"quoted\".pdf", Some("\"quoted\".pdf")),
            (".pdf", None),
            (" .pdf", None),
            ("...pdf", None),
            ("x.pdf.exe", None),
            ("pdf", None),
            ("x.pd\u{212a}", None),
            ("", None),
            ("folder.pdf/", None),
        ] {
            assert_eq!(file_name(sent).as_deref(), kept, "{sent:?}");
        }
        let long = file_name(&format!("{}.pdf", "ü".repeat(1000))).unwrap();
        assert_eq!(long.chars().count(), 255);
        assert!(long.ends_with("ü.pdf"));
    }
}
