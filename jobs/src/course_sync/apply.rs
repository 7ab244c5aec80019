//! Applies a plan to the table: one statement per kind of change, for any number of courses.

use bedel_recordings::catalogue::CatalogueSnapshot;
use sqlx::PgConnection;
use uuid::Uuid;

use super::plan::{ChangedCourse, NewCourse, Plan, StoredCourse, plan};
use super::summary::Summary;

/// Changes the courses in the caller's transaction. A dry run executes the same statements and rolls back to
/// a savepoint.
///
/// # Errors
/// Also after waiting ten seconds for a lock, which is worth a retry.
pub async fn apply(
    tx: &mut PgConnection,
    gathered: &CatalogueSnapshot,
    sync_instructors: bool,
    dry_run: bool,
) -> Result<Summary, sqlx::Error> {
    if !dry_run {
        return change(tx, gathered, sync_instructors).await;
    }
    sqlx::query("-- course_sync::savepoint\nSAVEPOINT course_sync").execute(&mut *tx).await?;
    let summary = change(tx, gathered, sync_instructors).await?;
    sqlx::query("-- course_sync::go_back\nROLLBACK TO SAVEPOINT course_sync").execute(&mut *tx).await?;
    sqlx::query("-- course_sync::release\nRELEASE SAVEPOINT course_sync").execute(tx).await?;
    Ok(summary)
}

async fn change(
    tx: &mut PgConnection,
    gathered: &CatalogueSnapshot,
    sync_instructors: bool,
) -> Result<Summary, sqlx::Error> {
    // A transaction that waits for a table lock blocks all later ones. So the wait is short, and the commit
    // is retried later.
    sqlx::query("-- course_sync::lock_timeout\nSELECT set_config('lock_timeout', '10s', true)")
        .execute(&mut *tx)
        .await?;
    // No row may change between plan and statements. The lock blocks neither readers nor users who choose a
    // course.
    sqlx::query("-- course_sync::lock_courses\nLOCK TABLE courses IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *tx)
        .await?;
    let stored: Vec<StoredCourse> = sqlx::query_as(
        "-- course_sync::stored
         SELECT id, code, title, instructor, is_official FROM courses ORDER BY code",
    )
    .fetch_all(&mut *tx)
    .await?;

    let complete = gathered.failed.is_empty();
    let Plan { create, update, unchanged, stale, may_delete } =
        plan(&gathered.courses, &stored, complete, sync_instructors);
    let created = insert(tx, create).await?;
    let updated = rewrite(tx, update).await?;
    let deletion_skipped = !stale.is_empty() && !may_delete;
    let (deleted, retained) =
        if stale.is_empty() || deletion_skipped { (0, 0) } else { remove(tx, &stale).await? };
    Ok(Summary {
        created,
        updated,
        unchanged,
        deleted,
        retained,
        total: gathered.courses.len() as u64,
        terms: gathered.terms.iter().map(ToString::to_string).collect(),
        deletion_skipped,
        partial: !complete,
        failed_terms: gathered.failed.iter().map(|(term, _)| term.to_string()).collect(),
        skipped_entries: gathered.skipped as u64,
    })
}

async fn insert(tx: &mut PgConnection, create: Vec<NewCourse>) -> Result<u64, sqlx::Error> {
    if create.is_empty() {
        return Ok(0);
    }
    let mut codes = Vec::with_capacity(create.len());
    let mut titles = Vec::with_capacity(create.len());
    let mut instructors = Vec::with_capacity(create.len());
    for course in create {
        codes.push(course.code);
        titles.push(course.title);
        instructors.push(course.instructor);
    }
    let done = sqlx::query(
        "-- course_sync::insert
         INSERT INTO courses (code, title, instructor, is_official)
         SELECT code, title, instructor, true
         FROM unnest($1::text[], $2::text[], $3::text[]) AS new (code, title, instructor)",
    )
    .bind(codes)
    .bind(titles)
    .bind(instructors)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

async fn rewrite(tx: &mut PgConnection, update: Vec<ChangedCourse>) -> Result<u64, sqlx::Error> {
    if update.is_empty() {
        return Ok(0);
    }
    let mut ids = Vec::with_capacity(update.len());
    let mut titles = Vec::with_capacity(update.len());
    let mut instructors = Vec::with_capacity(update.len());
    for course in update {
        ids.push(course.id);
        titles.push(course.title);
        instructors.push(course.instructor);
    }
    let done = sqlx::query(
        "-- course_sync::rewrite
         UPDATE courses SET title = new.title, instructor = new.instructor, is_official = true
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, title, instructor)
         WHERE courses.id = new.id",
    )
    .bind(ids)
    .bind(titles)
    .bind(instructors)
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes the stale courses that nothing refers to and makes the others unofficial.
async fn remove(tx: &mut PgConnection, stale: &[Uuid]) -> Result<(u64, u64), sqlx::Error> {
    // Lectures and documents refer without a foreign key. The lock blocks their writers for these few
    // statements, so no reference appears between check and deletion.
    sqlx::query("-- course_sync::lock_references\nLOCK TABLE lectures, documents IN SHARE MODE")
        .execute(&mut *tx)
        .await?;
    // A user who is choosing one of these courses locks its row until the commit. Waiting for that in a
    // separate statement lets the next one see the choice, which the cascade would delete otherwise.
    sqlx::query("-- course_sync::lock_stale\nSELECT FROM courses WHERE id = ANY($1) FOR UPDATE")
        .bind(stale)
        .execute(&mut *tx)
        .await?;
    let deleted = sqlx::query(
        "-- course_sync::delete
         DELETE FROM courses
         WHERE id = ANY($1)
             AND NOT EXISTS (SELECT FROM user_courses WHERE course_id = courses.id)
             AND NOT EXISTS (SELECT FROM lectures WHERE course_id = courses.id)
             AND NOT EXISTS (SELECT FROM documents WHERE course_id = courses.id)
             AND NOT EXISTS (SELECT FROM course_defaults WHERE course_id = courses.id)",
    )
    .bind(stale)
    .execute(&mut *tx)
    .await?;
    let retained =
        sqlx::query("-- course_sync::retain\nUPDATE courses SET is_official = false WHERE id = ANY($1)")
            .bind(stale)
            .execute(tx)
            .await?;
    Ok((deleted.rows_affected(), retained.rows_affected()))
}
