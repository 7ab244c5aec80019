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

mod report;
mod rows;
mod rules;
mod sweep;

use std::io;
use std::time::Duration;

use bedel_fetch::FetchError;
use bedel_queue::{Attempt, Backoff, Commit, Job, JobError, Policy};
use bedel_recordings::source::download_dir;
use serde_json::json;
use sqlx::PgConnection;

pub use self::report::{Refusal, Report};
use crate::error_class::{ErrorClass, names};
use crate::environment::Context;
use crate::installation::installation_of_database;
pub use crate::kinds::CleanupOrphans;

/// The classes of its own errors.
const ERROR_CLASSES: [&str; 7] = names([
    ErrorClass::Disk,
    ErrorClass::DiskFull,
    ErrorClass::Storage,
    ErrorClass::StorageMissing,
    ErrorClass::StorageKey,
    ErrorClass::StorageTooLarge,
    ErrorClass::WrongStorage,
]);

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
            error_classes: &ERROR_CLASSES,
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
