//! `download`: brings the recording in and keeps its audio.
//!
//! 1. The source goes to a scratch directory named after the lease: over HTTP, or from what a client uploaded.
//! 2. Its sound is extracted there.
//! 3. The audio is stored under a key that the lease names, the fence is checked, and only then the object is renamed to
//!    the key that the lecture's row will hold.
//!
//! An attempt first deletes what older leases stored. One of them may still be running somewhere, unaware that it was
//! rescued: whatever it does later, the object that it would rename is gone.

use std::path::Path;
use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, End, Failure, Job, JobError, NewJob, Policy};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

use crate::cleanup_orphans;
use crate::environment::{Context, Environment};
use crate::fetch::{self, FetchError, body};
use crate::lecture::{self, Lecture};
use crate::probe::{self, Probe};
use crate::stage::{Scratch, UPLOADED, disk, remove_leftovers};
use crate::storage::StorageError;
use crate::storage::keys::{self, Class};

/// Share of the progress that fetching the source stands for; extracting is quick beside it.
const FETCHED: f64 = 0.9;

/// A recording that is not there may only be not there yet, on this one of the server's machines.
const LOOKS_FOR_MISSING: i32 = 3;

/// Classes of errors after which the address of the stream is of no use: it expired, or it leads nowhere any more. It is
/// forgotten, so that a retry asks Panopto for a new one.
const STREAM_REFUSED: [&str; 3] = ["access-denied", "not-found", "upstream-refused"];

/// Brings the recording in and keeps its audio.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Download {
    /// The lecture.
    pub lecture_id: Uuid,
}

/// What `run` stored for a lecture that still exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Length of the sound that the source announces, in seconds.
    pub announced_seconds: Option<f64>,
}

impl Job for Download {
    const KIND: &'static str = "download";
    type Context = Context;
    /// `None` where the lecture was deleted.
    type Output = Option<Audio>;

    /// Twelve attempts over about two hours outlive a restart of the upstream. An attempt may take four hours: 4 GiB
    /// at 300 kB/s.
    fn policy() -> Policy {
        Policy {
            queue: "media",
            max_attempts: 12,
            backoff: Backoff { first: Duration::from_secs(5), max: Duration::from_secs(1800) },
            timeout: Duration::from_secs(4 * 3600),
            ..Policy::default()
        }
    }

    async fn begin(&self, _: &Context, _: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        Ok(lecture::begin(tx, self.lecture_id).await?)
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Self::Output, JobError> {
        let Some(lecture) = lecture::read(&mut *ctx.pool.acquire().await?, self.lecture_id).await? else {
            return Ok(None);
        };
        remove_leftovers(ctx, attempt, self.lecture_id).await?;
        let scratch = Scratch::create(&ctx.scratch, attempt.lease).await?;
        let source = scratch.path.join("source");
        if lecture.stream_url == UPLOADED {
            take_upload(ctx, self.lecture_id, &source).await?;
        } else {
            fetch_source(ctx, attempt, &lecture, &source).await?;
        }
        attempt.set_progress(FETCHED);

        let announced_seconds = probe::announced_seconds(&ctx.media.probe(&source).await?);
        let audio = scratch.path.join("audio.m4a");
        ctx.media.extract_audio(&source, &audio).await?;

        let temporary = keys::audio_temp(self.lecture_id, attempt.lease);
        ctx.storage.put_file(&temporary, &audio).await?;
        attempt.check_lease().await?;
        match ctx.storage.rename(&temporary, &keys::audio(self.lecture_id)).await {
            // Only a newer lease, or the clean-up after a deletion, removes what this one has just stored.
            Err(StorageError::Missing { .. }) => {
                return Err(JobError::retry("storage", "the audio was removed while it was being stored"));
            }
            renamed => renamed?,
        }
        attempt.set_progress(1.0);
        Ok(Some(Audio { announced_seconds }))
    }

    async fn commit(
        &self,
        ctx: &Context,
        attempt: &Attempt,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let (Some(audio), Some(_)) = (output, lecture::lock(tx, self.lecture_id).await?) else {
            // Both ways of deleting a lecture cancel this job first. The row was removed by other hands, then, and nobody
            // has enqueued a clean-up of its files.
            return Ok(
                Commit::cancelled("the lecture was deleted").then(cleanup_orphans::targeted(self.lecture_id))
            );
        };
        // A length from before is not the new audio's.
        sqlx::query(
            "-- download::commit
             UPDATE lectures SET audio_storage_key = $2, duration_seconds = NULL, error_message = NULL WHERE id = $1",
        )
        .bind(self.lecture_id)
        .bind(keys::audio(self.lecture_id))
        .execute(&mut *tx)
        .await?;
        let probe = Probe { lecture_id: self.lecture_id, announced_seconds: audio.announced_seconds };
        let job = lecture::stage_job(&probe, self.lecture_id, &ctx.settings).priority(attempt.priority);
        Ok(Commit::done().then(job))
    }

    async fn attempt_failed(
        _: &Context,
        failure: &Failure,
        tx: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        lecture::record_failure(tx, failure).await
    }

    async fn ended(ctx: &Context, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        if STREAM_REFUSED.contains(&end.class.as_str()) {
            sqlx::query(
                "-- download::ended
                 UPDATE lectures SET stream_url = '' WHERE id = $1 AND stream_url <> $2 AND status <> 'completed'",
            )
            .bind(end.subject)
            .bind(UPLOADED)
            .execute(&mut *tx)
            .await?;
        }
        lecture::fail(tx, end, &ctx.settings).await
    }
}

/// Streams the recording from where it is published.
async fn fetch_source(
    ctx: &Environment,
    attempt: &Attempt,
    lecture: &Lecture,
    target: &Path,
) -> Result<(), JobError> {
    if lecture.stream_url.is_empty() {
        return Err(JobError::fatal(
            "no-stream",
            "It is not known where this recording's stream is. Send the recording again from its Panopto page.",
        ));
    }
    let url = fetch::check_url(&lecture.stream_url, &ctx.settings.fetch.allowed_private)
        .map_err(FetchError::from)?;
    let progress = |done: u64, total: Option<u64>| {
        if let Some(total) = total.filter(|&total| total > 0) {
            attempt.set_progress(done as f64 / total as f64 * FETCHED);
        }
    };
    match ctx.fetcher.download_to(&url, target, progress).await {
        Ok(_) => Ok(()),
        Err(error @ FetchError::Status { status: 404, .. }) if attempt.number < LOOKS_FOR_MISSING => {
            Err(JobError::retry("not-found", format!("{error}.")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Copies what a client uploaded, and refuses it like anything else that is not media.
async fn take_upload(ctx: &Environment, lecture_id: Uuid, target: &Path) -> Result<(), JobError> {
    let mut uploads = ctx.storage.list(&keys::audio_temp_prefix(lecture_id)).await?;
    uploads.retain(|stored| {
        !stored.is_staged() && keys::parse(&stored.key).is_some_and(|key| key.class == Class::Upload)
    });
    // The newest. One that came while another was accepted is taken away again, and then it is that other one.
    uploads.sort_by_key(|stored| std::cmp::Reverse(stored.modified));
    let mut taken = false;
    for upload in uploads {
        taken = match ctx.storage.get_file(&upload.key, target).await {
            Err(StorageError::Missing { .. }) => false,
            copied => copied.map(|()| true)?,
        };
        if taken {
            break;
        }
    }
    if !taken {
        return Err(upload_missing());
    }
    let head = read_head(target).await.map_err(|error| disk(&error))?;
    fetch::require_media(body::sniff(&head, None), "the upload".to_owned())?;
    Ok(())
}

fn upload_missing() -> JobError {
    JobError::fatal("upload-missing", "The uploaded recording is no longer stored here. Send it once more.")
}

async fn read_head(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    tokio::fs::File::open(file).await?.take(body::HEAD_BYTES as u64).read_to_end(&mut head).await?;
    Ok(head)
}
