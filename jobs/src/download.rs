//! `download`: brings the recording in and keeps its audio.
//!
//! 1. The source comes to a directory of this host: over HTTP, behind what an earlier attempt brought, or from what a client
//!    uploaded.
//! 2. Its sound is extracted in a scratch directory named after the lease.
//! 3. The audio is stored under a key that the lease names, the fence is checked, and only then the object is renamed to
//!    the key that the lecture's row will hold.
//!
//! An attempt first deletes what older leases stored. One of them may still be running somewhere, unaware that it was
//! rescued: whatever it does later, the object that it would rename is gone.

mod fetch;
mod progress;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Breaker, Commit, End, Job, JobError, Policy};
use sqlx::PgConnection;
use tokio::io::AsyncReadExt;
use url::Url;
use uuid::Uuid;

pub use self::progress::Checkpoint;
use crate::audio::remove_leftovers;
use crate::error_class::{ErrorClass, names};
use crate::environment::{Context, Environment};
use crate::kinds::CleanupOrphans;
pub use crate::kinds::Download;
use crate::lecture::{self, Lecture, UPLOADED};
use crate::pipeline::{self, Stage, stage_hooks};
use crate::scratch::Scratch;
use bedel_fetch::{FetchError, body, require_media};
use bedel_recordings::source::Source;
use bedel_recordings::source::download_dir::DownloadDir;
use bedel_storage::StorageError;
use bedel_storage::keys::{self, Class};

/// Share of the progress that fetching the source stands for; extracting is quick beside it.
const FETCHED: f64 = 0.9;

/// Downloads from one host at a time, in the whole fleet.
const DOWNLOADS_PER_HOST: u32 = 8;

/// Classes of errors after which the address of the stream is of no use: it expired, or it leads nowhere any more. It is
/// forgotten, so that a retry asks Panopto for a new one.
const STREAM_REFUSED: [&str; 5] =
    ["access-denied", "not-found", "upstream-refused", "playlist-refused", "segment-missing"];

/// Classes of errors that end the job and yet leave something of use: with a fresh address of the stream the rest follows.
const WORTH_KEEPING: [&str; 2] = ["access-denied", "login-required"];

/// What `run` stored for a lecture that still exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Length of the sound that the source announces, in seconds.
    pub announced_seconds: Option<f64>,
}

/// The classes of its own errors.
const ERROR_CLASSES: [&str; 37] = names([
    ErrorClass::Network,
    ErrorClass::Stalled,
    ErrorClass::Truncated,
    ErrorClass::Timeout,
    ErrorClass::UpstreamError,
    ErrorClass::RateLimited,
    ErrorClass::UpstreamBusy,
    ErrorClass::LoginRequired,
    ErrorClass::AccessDenied,
    ErrorClass::NotFound,
    ErrorClass::UrlRefused,
    ErrorClass::Redirects,
    ErrorClass::UpstreamRefused,
    ErrorClass::HttpClient,
    ErrorClass::NotMedia,
    ErrorClass::NoAudio,
    ErrorClass::Live,
    ErrorClass::Playlist,
    ErrorClass::PlaylistRefused,
    ErrorClass::SegmentMissing,
    ErrorClass::SegmentDamaged,
    ErrorClass::Key,
    ErrorClass::Incomplete,
    ErrorClass::Protected,
    ErrorClass::ScratchFull,
    ErrorClass::TooLarge,
    ErrorClass::NoStream,
    ErrorClass::UploadMissing,
    ErrorClass::MediaTool,
    ErrorClass::ToolMissing,
    ErrorClass::Disk,
    ErrorClass::DiskFull,
    ErrorClass::Storage,
    ErrorClass::StorageMissing,
    ErrorClass::StorageKey,
    ErrorClass::StorageTooLarge,
    ErrorClass::WrongStorage,
]);

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
            slots: 4,
            max_attempts: 12,
            backoff: Backoff { first: Duration::from_secs(5), max: Duration::from_secs(1800) },
            timeout: Duration::from_secs(4 * 3600),
            group_limit: Some(DOWNLOADS_PER_HOST),
            breaker: Some(Breaker::default()),
            error_classes: &ERROR_CLASSES,
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Self::Output, JobError> {
        let Some(lecture) = lecture::read(&mut *ctx.pool.acquire().await?, self.lecture_id).await? else {
            return Ok(None);
        };
        remove_leftovers(ctx, attempt, self.lecture_id).await?;
        let scratch = Scratch::create(&ctx.scratch, attempt.lease).await?;
        if lecture.stream_url == UPLOADED {
            let file = scratch.path.join("source");
            take_upload(ctx, self.lecture_id, &file).await?;
            let source = Source { runs: vec![file], announced_seconds: None };
            return self.keep(ctx, attempt, &source, &scratch).await.map(Some);
        }
        let url = stream(ctx, &lecture)?;
        let place =
            DownloadDir::open(&ctx.downloads, lecture.id, attempt.lease, ctx.settings.max_download_bytes)
                .await?;
        let audio = match fetch::fetch(ctx, attempt, &url, &place, FETCHED).await {
            Ok(source) => self.keep(ctx, attempt, &source, &scratch).await,
            Err(error) => Err(error),
        };
        // What an attempt that fails has brought is there for the next one.
        let is_of_use = |error: &JobError| !error.is_fatal() || WORTH_KEEPING.contains(&error.class());
        if !audio.as_ref().is_err_and(is_of_use) {
            place.remove().await;
        }
        audio.map(Some)
    }

    stage_hooks!();
}

impl Stage for Download {
    fn lecture_id(&self) -> Uuid {
        self.lecture_id
    }

    async fn store(
        &self,
        ctx: &Context,
        attempt: &Attempt,
        _: &Lecture,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let Some(audio) = output else { return Ok(self.without_lecture()) };
        // The length of earlier audio does not apply to the new audio.
        sqlx::query(
            "-- download::store
             UPDATE lectures SET audio_storage_key = $2, duration_seconds = NULL, error_message = NULL WHERE id = $1",
        )
        .bind(self.lecture_id)
        .bind(keys::audio(self.lecture_id))
        .execute(tx)
        .await?;
        let announced = audio.announced_seconds;
        Ok(Commit::done().then(pipeline::after_download(attempt, self.lecture_id, announced, &ctx.settings)))
    }

    /// Both ways of deleting a lecture cancel this job first. Here its row was removed by other means, so its files still need
    /// a clean-up.
    fn without_lecture(&self) -> Commit {
        Commit::cancelled("the lecture was deleted").then(CleanupOrphans::of_lecture(self.lecture_id))
    }

    async fn give_up(end: &End, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        if STREAM_REFUSED.contains(&end.class.as_str()) {
            sqlx::query(
                "-- download::give_up
                 UPDATE lectures SET stream_url = '' WHERE id = $1 AND stream_url <> $2 AND status <> 'completed'",
            )
            .bind(end.subject)
            .bind(UPLOADED)
            .execute(tx)
            .await?;
        }
        Ok(())
    }
}

impl Download {
    /// Extracts the sound and stores it.
    async fn keep(
        &self,
        ctx: &Environment,
        attempt: &Attempt,
        source: &Source,
        scratch: &Scratch,
    ) -> Result<Audio, JobError> {
        attempt.set_progress(FETCHED);
        let audio = scratch.path.join("audio.m4a");
        let seconds = extract(ctx, &source.runs, scratch, &audio).await?;
        let announced = [source.announced_seconds.or(seconds), self.announced_seconds];
        let announced_seconds = announced.into_iter().flatten().reduce(f64::max);

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
        Ok(Audio { announced_seconds })
    }
}

/// Where the recording is published.
fn stream(ctx: &Environment, lecture: &Lecture) -> Result<Url, JobError> {
    if lecture.stream_url.is_empty() {
        return Err(JobError::fatal(
            "no-stream",
            "It is not known where this recording's stream is. Send the recording again from its Panopto page.",
        ));
    }
    Ok(ctx.settings.fetch.check(&lecture.stream_url).map_err(FetchError::from)?)
}

/// Writes the sound of all runs to `target`. Returns the length that a single file announces.
async fn extract(
    ctx: &Environment,
    runs: &[PathBuf],
    scratch: &Scratch,
    target: &Path,
) -> Result<Option<f64>, JobError> {
    if let [source] = runs {
        return Ok(ctx.media.extract_audio(source, target).await?.announced_seconds());
    }
    ctx.media.join_audio(runs, &scratch.path, target).await?;
    Ok(None)
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
    let head = read_head(target).await.map_err(|error| JobError::local_disk(&error))?;
    require_media(body::sniff(&head, None), "the upload".to_owned())?;
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
