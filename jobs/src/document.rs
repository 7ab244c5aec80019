//! Users' documents: PDF files, each of exactly one user, the same bytes once for each course.
//!
//! The file is stored before its row is inserted and deleted after the row is, so a row always has its file.
//! A crash in between leaves a file without a row, which cleanup-orphans deletes.

use bedel_storage::keys;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::user::ensure_user_exists;

/// Longest stored file name, in characters.
const MAX_NAME_CHARS: usize = 255;

/// Beginning of a PDF's header (ISO 32000-2, 7.5.2).
const HEADER: &[u8] = b"%PDF-";

/// The header must be within these first bytes, as viewers have it (Adobe's PDF Reference 1.7, H.3, note 13): byte order marks, blank
/// lines, and the heads of mails and print jobs come before it.
const HEADER_WITHIN: usize = 1024;

/// `documents.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, Serialize, Deserialize, utoipa::ToSchema)]
#[sqlx(type_name = "document_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum DocumentStatus {
    /// The file is stored.
    Uploaded,
    /// The file is missing.
    Failed,
}

/// A document as its owner sees it. Serialises to what the API answers.
#[derive(Debug, Clone, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Document {
    /// The document's id.
    pub id: Uuid,
    /// Its course.
    pub course_id: Uuid,
    /// The owner's name for it, without folders and misleading characters.
    pub filename: String,
    /// Always `application/pdf` for documents uploaded here.
    pub mime_type: String,
    /// Size of the file in bytes.
    pub size_bytes: i64,
    /// Not filled yet.
    pub page_count: Option<i32>,
    /// `uploaded` if its file is stored.
    pub status: DocumentStatus,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
    /// Logical storage key of the file; never shown.
    #[serde(skip)]
    pub storage_key: String,
}

/// The columns of a [`Document`], named for the same reason as a lecture's.
macro_rules! document_columns {
    () => {
        "id, course_id, filename, mime_type, size_bytes, page_count, status, created_at, updated_at, storage_key"
    };
}

/// A new document, whose file is already stored under the key of `id`.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// The new document's id, which is part of its file's key.
    pub id: Uuid,
    /// Its course. An unknown one is accepted: the schema has no foreign key.
    pub course_id: Uuid,
    /// See [`file_name`].
    pub filename: String,
    /// SHA-256 of the bytes, hexadecimal.
    pub checksum: String,
    /// Size in bytes.
    pub size_bytes: i64,
}

/// Outcome of [`accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The document, new or existing.
    pub id: Uuid,
    /// Its status. A failed one has no file: attach the new one with [`restore`].
    pub status: DocumentStatus,
    /// False if the owner already has the same bytes in this course.
    pub created: bool,
}

/// Inserts a document for a stored file, or finds the owner's document with the same bytes, in the caller's
/// transaction.
pub async fn accept(
    tx: &mut PgConnection,
    owner_id: Uuid,
    document: &NewDocument,
) -> Result<Accepted, sqlx::Error> {
    ensure_user_exists(tx, owner_id).await?;
    // Loops only if the document is deleted between the two statements.
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

/// Marks a document as uploaded again, with the file under its own key. False if the document was deleted.
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

/// Reads a document. `None` if it does not exist or has another owner.
pub async fn read(
    connection: &mut PgConnection,
    owner_id: Uuid,
    id: Uuid,
) -> Result<Option<Document>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- document::read\nSELECT ",
        document_columns!(),
        " FROM documents WHERE id = $1 AND owner_id = $2"
    ))
    .bind(id)
    .bind(owner_id)
    .fetch_optional(connection)
    .await
}

/// The owner's documents of one course, newest first.
pub async fn of_course(
    connection: &mut PgConnection,
    owner_id: Uuid,
    course_id: Uuid,
) -> Result<Vec<Document>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- document::of_course
         SELECT ",
        document_columns!(),
        " FROM documents WHERE owner_id = $1 AND course_id = $2
         ORDER BY created_at DESC, id LIMIT 1000"
    ))
    .bind(owner_id)
    .bind(course_id)
    .fetch_all(connection)
    .await
}

/// The owner's documents, newest first.
pub async fn of_owner(connection: &mut PgConnection, owner_id: Uuid) -> Result<Vec<Document>, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- document::of_owner
         SELECT ",
        document_columns!(),
        " FROM documents WHERE owner_id = $1 ORDER BY created_at DESC, id LIMIT 200"
    ))
    .bind(owner_id)
    .fetch_all(connection)
    .await
}

/// Removes a document's row and returns the key of its file: delete that after the commit. `owner_id` limits
/// it to that user's documents; `None` is for admins. Returns `None` if there is no such document.
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

/// True for the first bytes of a PDF: its header, within the first 1024 bytes.
///
/// A web page may mention the header. So bytes before it must have no `<`, and the header must begin a line, unless all of them are
/// blanks, control characters or not ASCII.
#[must_use]
pub fn is_pdf(head: &[u8]) -> bool {
    let head = &head[..head.len().min(HEADER_WITHIN)];
    let Some(at) = head.windows(HEADER.len()).position(|bytes| bytes == HEADER) else { return false };
    let before = &head[..at];
    let begins_line = before.last().is_none_or(|byte| b"\r\n".contains(byte));
    !before.contains(&b'<') && (begins_line || !before.iter().any(u8::is_ascii_graphic))
}

/// The stored form of a client's file name: its last segment without control and bidirectional control
/// characters, at most 255 characters. `None` unless it has a stem and ends in `.pdf`, in any case.
#[must_use]
pub fn file_name(sent_name: &str) -> Option<String> {
    let last = sent_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control() && !is_bidirectional_control(*c)).collect();
    let clean = clean.trim();
    let stem = clean.len().checked_sub(4).and_then(|at| clean.split_at_checked(at));
    let (stem, extension) = stem.filter(|(stem, extension)| {
        !stem.trim_matches(['.', ' ']).is_empty() && extension.eq_ignore_ascii_case(".pdf")
    })?;
    let room = MAX_NAME_CHARS - extension.len();
    Some(stem.chars().take(room).chain(extension.chars()).collect())
}

/// Marks, embeddings, overrides and isolates of the Unicode Bidirectional Algorithm (UAX 9, table 1). One of
/// them can make `fdp.exe` look like `exe.pdf`.
fn is_bidirectional_control(character: char) -> bool {
    matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pdf_may_have_bytes_before_its_header() {
        let after = |count: usize| [vec![b' '; count], b"%PDF-1.7\n".to_vec()].concat();
        for accepted in [
            b"%PDF-1.7\n".to_vec(),
            b"%PDF-".to_vec(),
            b"\xef\xbb\xbf%PDF-1.4".to_vec(),
            b"\xff\xfe%PDF-1.4".to_vec(),
            b"\n%PDF-1.4".to_vec(),
            b"\r\n \t\0%PDF-1.4".to_vec(),
            b"\x1b%-12345X@PJL JOB\r\n@PJL ENTER LANGUAGE=PDF\r\n%PDF-1.4".to_vec(),
            b"Content-Type: application/pdf\r\n\r\n%PDF-1.4".to_vec(),
            after(HEADER_WITHIN - HEADER.len()),
        ] {
            assert!(is_pdf(&accepted), "{:?}", String::from_utf8_lossy(&accepted));
        }
        for refused in [
            b"".to_vec(),
            b"%PDF".to_vec(),
            b"%pdf-1.7".to_vec(),
            b"PDF-1.7".to_vec(),
            b"<html>".to_vec(),
            b"<html>\n%PDF-1.7".to_vec(),
            b"\xef\xbb\xbf\n<!DOCTYPE html><title>About\n%PDF-1.7".to_vec(),
            b"<\0h\0t\0m\0l\0>\0\n%PDF-1.7".to_vec(),
            b"The header is %PDF-1.7".to_vec(),
            b"{\"head\": \"%PDF-1.7\"}".to_vec(),
            b"PK\x03\x04 a.pdf %PDF-1.7".to_vec(),
            after(HEADER_WITHIN - HEADER.len() + 1),
        ] {
            assert!(!is_pdf(&refused), "{:?}", String::from_utf8_lossy(&refused));
        }
    }

    #[test]
    fn misleading_characters_are_removed_from_file_names() {
        for (sent, expected) in [
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
            assert_eq!(file_name(sent).as_deref(), expected, "{sent:?}");
        }
        let long = file_name(&format!("{}.pdf", "ü".repeat(1000))).unwrap();
        assert_eq!(long.chars().count(), 255);
        assert!(long.ends_with("ü.pdf"));
    }
}
