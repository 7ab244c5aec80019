//! `index-transcripts`: makes stored transcripts searchable.
//!
//! `transcribe` writes the rows of each new transcript itself. This job adds those of transcripts from before the
//! index or of an older version of its rows, and rebuilds all of them on request. It pages through the lectures by
//! primary key and reads a file only where rows are missing.

use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, Policy};
use bedel_speech::Transcript;
use bedel_storage::StorageError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::environment::Context;
use crate::error_class::{OF_STORAGE, names};
pub use crate::kinds::IndexTranscripts;
use crate::lecture;
use crate::lecture::search::index;
use crate::lecture::search::passages::SearchRows;

/// Lectures in a page.
const PAGE: i64 = 500;

/// Largest transcript that is read, in bytes. Ten hours of speech take about two million.
const MAX_TRANSCRIPT_BYTES: u64 = 64 * 1024 * 1024;

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 7] = names(&[&OF_STORAGE]);

/// Where a run is; its counts are the job's result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexing {
    /// The last lecture of the pages that are done.
    after: Uuid,
    /// Transcripts whose rows were written.
    pub indexed: u64,
    /// Transcripts of another format or too large: only the title is found.
    pub unreadable: u64,
    /// Transcripts whose file is missing in the storage; the next run tries again.
    pub missing: u64,
}

/// A lecture whose rows are missing or old.
#[derive(sqlx::FromRow)]
struct Due {
    id: Uuid,
    key: Option<String>,
    updated_at: DateTime<Utc>,
    is_due: bool,
}

impl Job for IndexTranscripts {
    const KIND: &'static str = "index-transcripts";
    type Context = Context;
    type Output = Indexing;

    /// It runs again within the hour, and each attempt resumes, so three attempts are enough. A transcript takes
    /// about 50 ms, so six hours are enough for 400,000.
    fn policy() -> Policy {
        Policy {
            queue: "maintenance",
            max_attempts: 3,
            backoff: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(6 * 3600),
            error_classes: &ERROR_CLASSES,
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Indexing, JobError> {
        let mut indexing: Indexing = attempt.checkpoint().unwrap_or_default();
        loop {
            let page = self.page(ctx, indexing.after).await?;
            let Some(last) = page.last() else { return Ok(indexing) };
            let after = last.id;
            for lecture in page.into_iter().filter(|lecture| lecture.is_due) {
                add(ctx, &lecture, &mut indexing).await?;
            }
            indexing.after = after;
            attempt.save_checkpoint(&indexing).await?;
        }
    }

    async fn commit(
        &self,
        _: &Context,
        _: &Attempt,
        output: &Indexing,
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let Indexing { indexed, unreadable, missing, .. } = output;
        Ok(Commit::done().with_result(json!({
            "indexed": indexed, "unreadable": unreadable, "missing": missing
        })))
    }
}

impl IndexTranscripts {
    /// The next lectures in order of id.
    async fn page(&self, ctx: &Context, after: Uuid) -> Result<Vec<Due>, sqlx::Error> {
        sqlx::query_as(
            "-- index_transcripts::page
             SELECT page.id, transcript_storage_key AS key, updated_at,
                    status = 'completed' AND transcript_storage_key IS NOT NULL
                        AND ($2 OR version IS DISTINCT FROM $3) AS is_due
             FROM (SELECT id, status, transcript_storage_key, updated_at FROM lectures
                   WHERE id > $1 ORDER BY id LIMIT $4) AS page
             LEFT JOIN transcript_index ON lecture_id = page.id
             ORDER BY page.id",
        )
        .bind(after)
        .bind(self.all)
        .bind(index::VERSION)
        .bind(PAGE)
        .fetch_all(&ctx.pool)
        .await
    }
}

/// Writes the rows of one lecture, unless the lecture changed since the page was read: then a `transcribe` wrote
/// newer ones, or the next run does it.
async fn add(ctx: &Context, due: &Due, indexing: &mut Indexing) -> Result<(), JobError> {
    let Some(key) = &due.key else { return Ok(()) };
    let rows = match ctx.storage.get_bytes(key, MAX_TRANSCRIPT_BYTES).await {
        Ok(bytes) => serde_json::from_slice::<Transcript>(&bytes).ok().map(|read| SearchRows::of(&read)),
        Err(StorageError::TooLarge { .. }) => None,
        // Other programs may have written any text as the key.
        Err(StorageError::Missing { .. } | StorageError::InvalidKey { .. }) => {
            tracing::warn!(lecture_id = %due.id, "a transcript that a lecture's row names is not in the storage");
            indexing.missing += 1;
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut tx = ctx.pool.begin().await?;
    let lecture = lecture::lock(&mut tx, due.id).await?;
    if let Some(lecture) = lecture.filter(|lecture| lecture.updated_at == due.updated_at) {
        let counter = if rows.is_some() { &mut indexing.indexed } else { &mut indexing.unreadable };
        let rows = rows.unwrap_or_else(SearchRows::empty);
        index::replace(&mut tx, due.id, lecture.title.as_deref(), &rows).await?;
        tx.commit().await?;
        *counter += 1;
    }
    Ok(())
}
