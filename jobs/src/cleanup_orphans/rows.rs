//! The clean-up's queries: it reads pages by primary key and makes every change under the lock of its row.

use std::collections::HashSet;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::environment::Settings;
use crate::lecture::{self, LectureStatus, removal};

/// Rows in a page.
pub(super) const PAGE: usize = 500;

/// The facts that decide about a lecture.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct LectureFacts {
    pub(super) id: Uuid,
    pub(super) status: LectureStatus,
    pub(super) audio_storage_key: Option<String>,
    pub(super) transcript_storage_key: Option<String>,
    /// It has a live job.
    pub(super) live: bool,
    /// No user is linked to it, and it is older than the grace period.
    pub(super) abandoned: bool,
    /// A user is linked to it, it is unfinished, and it has no live job.
    pub(super) stalled: bool,
    /// It has failed, and the time that the settings keep its audio is over.
    pub(super) audio_expired: bool,
    pub(super) has_course: bool,
}

impl LectureFacts {
    pub(super) fn refers_to(&self, key: &str) -> bool {
        self.keys().any(|own_key| own_key == key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        [&self.audio_storage_key, &self.transcript_storage_key].into_iter().filter_map(|key| key.as_deref())
    }
}

/// The facts about the lectures of a query; `$2` is the days that a failed lecture keeps its audio. Two
/// indexes answer the tests of each row: `jobs_unique_key` and `idx_user_lectures_lecture_id`.
macro_rules! facts_of {
    ($name:literal, $lectures:literal) => {
        concat!(
            "-- cleanup_orphans::",
            $name,
            "\nSELECT id, status, audio_storage_key, transcript_storage_key, live, has_course,
                    NOT linked AND created_at < now() - interval '1 hour' AS abandoned,
                    linked AND NOT live AND status IN ('pending', 'downloading') AS stalled,
                    NOT live AND status = 'failed' AND audio_storage_key IS NOT NULL
                        AND updated_at <= now() - make_interval(days => $2) AS audio_expired
             FROM (
                 SELECT l.*,
                     EXISTS (SELECT 1 FROM queue.jobs AS j
                             WHERE j.unique_key = 'lecture:' || l.id AND j.state IN ('available', 'running')) AS live,
                     EXISTS (SELECT 1 FROM user_lectures AS u WHERE u.lecture_id = l.id) AS linked,
                     EXISTS (SELECT 1 FROM courses AS c WHERE c.id = l.course_id) AS has_course
                 FROM (",
            $lectures,
            ") AS l
             ) AS facts
             ORDER BY id"
        )
    };
}

fn keep_days(settings: &Settings) -> i32 {
    i32::try_from(settings.keep_failed_audio_days).unwrap_or(i32::MAX)
}

/// The page of lectures after the id `after`, in order of id.
pub(super) async fn lectures_after(
    pool: &PgPool,
    after: Uuid,
    settings: &Settings,
) -> Result<Vec<LectureFacts>, sqlx::Error> {
    sqlx::query_as(facts_of!("lectures_after", "SELECT * FROM lectures WHERE id > $1 ORDER BY id LIMIT $3"))
        .bind(after)
        .bind(keep_days(settings))
        .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await
}

/// The facts about those of `ids` that have rows. In a transaction they are the current facts, not those of
/// its start.
pub(super) async fn lectures(
    connection: &mut PgConnection,
    ids: &[Uuid],
    settings: &Settings,
) -> Result<Vec<LectureFacts>, sqlx::Error> {
    sqlx::query_as(facts_of!("lectures", "SELECT * FROM lectures WHERE id = ANY($1)"))
        .bind(ids)
        .bind(keep_days(settings))
        .fetch_all(connection)
        .await
}

/// The running leases: at most one per slot of each worker.
pub(super) async fn running_leases(pool: &PgPool) -> Result<HashSet<Uuid>, sqlx::Error> {
    let leases: Vec<Uuid> = sqlx::query_scalar(
        "-- cleanup_orphans::running_leases\nSELECT lease FROM queue.jobs WHERE state = 'running'",
    )
    .fetch_all(pool)
    .await?;
    Ok(leases.into_iter().collect())
}

/// Removes a lecture without linked users and cancels its job. False if a user was linked meanwhile.
pub(super) async fn remove_abandoned(
    pool: &PgPool,
    id: Uuid,
    settings: &Settings,
) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    if lecture::lock(&mut tx, id).await?.is_none() {
        return Ok(true);
    }
    // A new link needs a share of the lecture's lock, so no user can be linked between this check and the
    // deletion.
    if !lectures(&mut tx, &[id], settings).await?.first().is_some_and(|facts| facts.abandoned) {
        return Ok(false);
    }
    // This enqueues a clean-up: the files go soon even if this process dies before it deletes them.
    removal::delete_locked(&mut tx, id, "no user is linked to the lecture").await?;
    tx.commit().await?;
    Ok(true)
}

/// Clears the audio key of a failed lecture. False if the lecture changed meanwhile.
pub(super) async fn expire_audio(pool: &PgPool, id: Uuid, settings: &Settings) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    if lecture::lock(&mut tx, id).await?.is_none() {
        return Ok(true);
    }
    if !lectures(&mut tx, &[id], settings).await?.first().is_some_and(|facts| facts.audio_expired) {
        return Ok(false);
    }
    sqlx::query(
        "-- cleanup_orphans::expire_audio\nUPDATE lectures SET audio_storage_key = NULL WHERE id = $1",
    )
    .bind(id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// Restarts a lecture without a live job. False if it is no longer stalled.
pub(super) async fn restart_stalled(
    pool: &PgPool,
    id: Uuid,
    settings: &Settings,
) -> Result<bool, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let Some(lecture) = lecture::lock(&mut tx, id).await? else { return Ok(false) };
    if !lectures(&mut tx, &[id], settings).await?.first().is_some_and(|facts| facts.stalled) {
        return Ok(false);
    }
    lecture::restart::restart(&mut tx, &lecture, settings).await?;
    tx.commit().await?;
    Ok(true)
}

/// The facts that decide about a document.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct DocumentFacts {
    pub(super) id: Uuid,
    pub(super) storage_key: String,
    /// Its status is `uploaded`.
    pub(super) uploaded: bool,
    pub(super) has_course: bool,
}

/// The page of documents after the id `after`, in order of id.
pub(super) async fn documents_after(pool: &PgPool, after: Uuid) -> Result<Vec<DocumentFacts>, sqlx::Error> {
    sqlx::query_as(
        "-- cleanup_orphans::documents_after
         SELECT d.id, d.storage_key, d.status = 'uploaded' AS uploaded,
             EXISTS (SELECT 1 FROM courses AS c WHERE c.id = d.course_id) AS has_course
         FROM documents AS d WHERE d.id > $1 ORDER BY d.id LIMIT $2",
    )
    .bind(after)
    .bind(i64::try_from(PAGE).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
}

/// Those of `ids` that have rows.
pub(super) async fn existing_documents(pool: &PgPool, ids: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let existing: Vec<Uuid> = sqlx::query_scalar(
        "-- cleanup_orphans::existing_documents\nSELECT id FROM documents WHERE id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(pool)
    .await?;
    Ok(existing.into_iter().collect())
}

/// Marks a document as failed because its file is missing. False if the row was changed or removed meanwhile.
pub(super) async fn fail_document(pool: &PgPool, document: &DocumentFacts) -> Result<bool, sqlx::Error> {
    let failed = sqlx::query(
        "-- cleanup_orphans::fail_document
         UPDATE documents SET status = 'failed' WHERE id = $1 AND storage_key = $2 AND status = 'uploaded'",
    )
    .bind(document.id)
    .bind(&document.storage_key)
    .execute(pool)
    .await?;
    Ok(failed.rows_affected() > 0)
}

/// Those of `lectures` that have no row.
pub(super) async fn without_row(
    connection: &mut PgConnection,
    lectures: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "-- cleanup_orphans::without_row
         SELECT id FROM unnest($1::uuid[]) AS asked (id)
         WHERE NOT EXISTS (SELECT FROM lectures WHERE lectures.id = asked.id)",
    )
    .bind(lectures)
    .fetch_all(connection)
    .await
}
