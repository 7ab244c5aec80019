//! `cleanup-orphans`: finds what belongs to nothing, and what nothing works for.
//!
//! | found | done |
//! |---|---|
//! | a lecture that nobody is linked to, older than an hour | work cancelled, row removed, then its files |
//! | a file whose key names a lecture or document without a row | deleted |
//! | a final file that its lecture's row does not refer to, no job being live | deleted |
//! | a temporary object whose lease is not running, or has none and is older than an hour | deleted |
//! | an upload whose lecture is completed | deleted |
//! | a piece of a transcript whose lecture is completed, no job being live | deleted |
//! | audio of a failed lecture that was kept long enough for a retry | row cleared, file deleted |
//! | a lecture that is not at its end and has no live job | started again |
//! | a document whose file is missing | `failed` |
//! | a lecture whose file is missing; a lecture or document whose course does not exist | reported |
//!
//! 1. The storage must carry this database's installation id.
//! 2. The storage is listed; only then rows and running leases are read, so that a file is never judged by a row that
//!    is older than the file.
//! 3. Nothing is deleted, and the result says so, when more than 20 files and more than 20 % of those listed would go:
//!    that is the mark of a wrong or half-restored database. The targeted form has no such limit; it looks at one
//!    lecture alone, and is also the way to let such files go one lecture at a time.
//! 4. Every change to a row is decided again under the row's lock.
//!
//! Files that nobody here could have named are counted and left alone. A dry run changes nothing.

mod judge;
mod rows;
mod sweep;

use std::io;
use std::path::Path;
use std::time::Duration;

use bedel_fetch::FetchError;
use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, NewJob, Policy};
use bedel_recordings::source::download_dir;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::environment::Context;
use crate::installation::installation_of_database;

/// Looks for orphans, in everything or at one lecture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CleanupOrphans {
    /// One lecture, or everything.
    #[serde(default)]
    pub lecture_id: Option<Uuid>,
    /// Count, but change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// The job that looks at one lecture's files, for the transaction that deletes or fails the lecture. It has no subject:
/// it is no part of the lecture's own story, and must not be cancelled with it.
#[must_use]
pub fn targeted(lecture_id: Uuid) -> NewJob {
    NewJob::new(&CleanupOrphans { lecture_id: Some(lecture_id), dry_run: false }).priority(3)
}

/// The same for a lecture whose work was cancelled: one look now and one later. Until an attempt notices that it lost its
/// lease it may store a temporary object, or finish a rename, behind the first look's back.
#[must_use]
pub fn after_cancelling(lecture_id: Uuid) -> [NewJob; 2] {
    [targeted(lecture_id), targeted(lecture_id).delay(SECOND_LOOK)]
}

/// Several heartbeats, and time to write what was being written.
const SECOND_LOOK: Duration = Duration::from_secs(60);

/// Why nothing was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The storage is not marked with this database's installation id.
    WrongStorage,
    /// Too large a part of the listed files would have gone.
    TooMany,
}

/// What was found and done; in a dry run, what would have been done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether changes were made.
    pub dry_run: bool,
    /// Set where nothing was deleted for safety.
    pub refused: Option<Refusal>,
    /// Files listed.
    pub listed: usize,
    /// Listed files that nobody here could have named; left alone.
    pub unknown: usize,
    /// Files that are orphans.
    pub orphans: usize,
    /// Files deleted.
    pub files_deleted: usize,
    /// Their size in bytes.
    pub bytes_deleted: u64,
    /// Lectures removed that nobody was linked to.
    pub lectures_removed: usize,
    /// Failed lectures whose kept audio was given up.
    pub audio_expired: usize,
    /// Lectures started again.
    pub lectures_restarted: usize,
    /// Documents whose file was found missing.
    pub documents_failed: usize,
    /// Files that lectures refer to and that are missing.
    pub missing: usize,
    /// Lectures whose course does not exist.
    pub lectures_without_course: usize,
    /// Documents whose course does not exist.
    pub documents_without_course: usize,
    /// The first of the keys that are missing or were not deleted because too many would have gone.
    pub examples: Vec<String>,
}

/// Keys that a report names at most.
const MAX_EXAMPLES: usize = 20;

impl Report {
    fn example(&mut self, key: &str) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(key.to_owned());
        }
    }
}

impl Job for CleanupOrphans {
    const KIND: &'static str = "cleanup-orphans";
    type Context = Context;
    type Output = Report;

    /// It runs again soon anyway, so three attempts are enough. Listing a million files takes minutes.
    fn policy() -> Policy {
        Policy {
            queue: "maintenance",
            max_attempts: 3,
            backoff: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(3600),
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Report, JobError> {
        let database = installation_of_database(&mut *ctx.pool.acquire().await?).await?;
        if ctx.storage.installation().await? != Some(database) {
            tracing::error!("the storage is not marked as this database's: nothing was cleaned up");
            return Ok(Report {
                dry_run: self.dry_run,
                refused: Some(Refusal::WrongStorage),
                ..Report::default()
            });
        }
        let report = match self.lecture_id {
            Some(lecture_id) => sweep::one(ctx, attempt, lecture_id, self.dry_run).await?,
            None => sweep::everything(ctx, attempt, self.dry_run).await?,
        };
        if !self.dry_run {
            forget_downloads(ctx).await?;
        }
        if report.refused.is_some() {
            tracing::error!(
                orphans = report.orphans,
                listed = report.listed,
                "too many files would go: none was deleted"
            );
        }
        Ok(report)
    }

    async fn commit(
        &self,
        _: &Context,
        _: &Attempt,
        output: &Report,
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done().with_result(json!(output)))
    }
}

/// Removes what downloads of lectures that are gone have left on this host. Others do the same when they download next.
async fn forget_downloads(ctx: &Context) -> Result<(), JobError> {
    let disk = |error| FetchError::disk(&error);
    let root = ctx.downloads.clone();
    let there = tokio::task::spawn_blocking(move || download_dir::lectures(&root))
        .await
        .map_err(io::Error::from)
        .flatten()
        .map_err(disk)?;
    let gone = rows::gone(&mut *ctx.pool.acquire().await?, &there).await?;
    let root = ctx.downloads.clone();
    Ok(tokio::task::spawn_blocking(move || download_dir::remove_lectures(&root, &gone))
        .await
        .map_err(io::Error::from)
        .flatten()
        .map_err(disk)?)
}

/// Empties a process's own scratch directory, at its start: nothing in it is in use then. Creates it where it is missing.
/// Returns how many entries were removed. Blocks.
///
/// # Errors
/// The file system's.
pub fn clean_scratch(dir: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let mut removed = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
        removed += 1;
    }
    Ok(removed)
}
