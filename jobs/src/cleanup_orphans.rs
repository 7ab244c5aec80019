//! `cleanup-orphans`: removes orphaned files and rows, and restarts stalled lectures.
//!
//! | finding | action |
//! |---|---|
//! | a lecture without a linked user, older than an hour | job cancelled, row removed, then its files |
//! | a file whose key names a lecture or document without a row | deleted |
//! | a final file that its lecture's row does not refer to, without a live job | deleted |
//! | a temporary object whose lease is not running, or without a lease and older than an hour | deleted |
//! | an upload whose lecture is completed | deleted |
//! | a piece of a transcript whose lecture is completed, without a live job | deleted |
//! | audio of a failed lecture, kept past `keep_failed_audio_days` | row cleared, file deleted |
//! | an unfinished lecture with a linked user and no live job | restarted |
//! | a document whose file is missing | `failed` |
//! | a lecture whose file is missing; a lecture or document whose course does not exist | reported |
//!
//! 1. The storage must carry this database's installation id.
//! 2. The job lists the storage before it reads rows and running leases: no file is compared with a row older
//!    than itself.
//! 3. If more than 20 files and more than 20 % of the listed ones are orphans, the job deletes none and
//!    reports that: the database is probably wrong or half restored. The targeted form has no such limit. It
//!    checks one lecture, and so is also the way to delete such files, one lecture at a time.
//! 4. Every change to a row is checked again under the row's lock.
//!
//! Files with unknown names are counted and kept. A dry run changes nothing.

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
use crate::environment::Context;
use crate::error_class::{OF_STORAGE, names};
use crate::installation::installation_of_database;
pub use crate::kinds::CleanupOrphans;

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 7] = names(&[&OF_STORAGE]);

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
            tracing::error!("cleaned up nothing: the storage does not carry this database's installation id");
            return Ok(Report {
                dry_run: self.dry_run,
                refused: Some(Refusal::WrongStorage),
                ..Report::default()
            });
        }
        let report = match self.lecture_id {
            Some(lecture_id) => sweep::sweep_lecture(ctx, attempt, lecture_id, self.dry_run).await?,
            None => sweep::sweep_all(ctx, attempt, self.dry_run).await?,
        };
        if !self.dry_run {
            remove_stale_downloads(ctx).await?;
        }
        if report.refused.is_some() {
            tracing::error!(
                orphans = report.orphans,
                listed = report.listed,
                "deleted no file: too many are orphans"
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

/// Removes this host's downloads of deleted lectures. Other hosts do the same at their next download.
async fn remove_stale_downloads(ctx: &Context) -> Result<(), JobError> {
    let disk = |error| FetchError::disk(&error);
    let root = ctx.downloads.clone();
    let downloaded = tokio::task::spawn_blocking(move || download_dir::lectures(&root))
        .await
        .map_err(io::Error::from)
        .flatten()
        .map_err(disk)?;
    let deleted = rows::without_row(&mut *ctx.pool.acquire().await?, &downloaded).await?;
    let root = ctx.downloads.clone();
    Ok(tokio::task::spawn_blocking(move || download_dir::remove_lectures(&root, &deleted))
        .await
        .map_err(io::Error::from)
        .flatten()
        .map_err(disk)?)
}
