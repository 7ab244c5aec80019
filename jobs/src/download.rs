//! `download`: fetches the recording and stores its audio.
//!
//! 1. Fetch the source into a directory of this host: over HTTP, resuming an earlier attempt, or from a
//!    client's upload.
//! 2. Put its sound on the session's clock, in a scratch directory named after the lease.
//! 3. Store the audio under a key that contains the lease, check the fence, and only then rename the object
//!    to the key in the lecture's row.
//!
//! An attempt first deletes the objects of older leases. A rescued attempt may still run on another host, but
//! the object that it wants to rename is gone.

mod fetch;
mod progress;
mod session;

use std::path::Path;
use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Breaker, Commit, End, Job, JobError, Policy};
use sqlx::PgConnection;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

pub use self::progress::Checkpoint;
use self::session::{Candidates, Session};
use crate::audio::remove_leftovers;
use crate::environment::{Context, Environment};
use crate::error_class::{ErrorClass, OF_SERVERS, OF_STORAGE, names};
use crate::kinds::CleanupOrphans;
pub use crate::kinds::Download;
use crate::lecture::{self, Lecture, UPLOADED};
use crate::pipeline::{self, Stage, stage_hooks};
use crate::scratch::Scratch;
use bedel_fetch::{body, require_media};
use bedel_recordings::panopto::streams::{Stream, StreamKind};
use bedel_recordings::source::Source;
use bedel_recordings::source::download_dir::DownloadDir;
use bedel_storage::StorageError;
use bedel_storage::keys::{self, Class};

/// Concurrent downloads from one host, fleet-wide.
const DOWNLOADS_PER_HOST: u32 = 8;

/// Error classes after which the stream's URL is useless: expired or dead. Such a failure clears it, so a
/// retry asks Panopto for a new one.
const DEAD_STREAM_CLASSES: [&str; 6] =
    ["access-denied", "not-found", "upstream-refused", "playlist-refused", "segment-missing", "no-stream"];

/// Fatal error classes that keep the partial download: a retry with a fresh URL of the stream resumes it.
const RESUMABLE_CLASSES: [&str; 2] = ["access-denied", "login-required"];

/// Result of `run` for a lecture that still exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Length of the sound in seconds, if the source announces it.
    pub announced_seconds: Option<f64>,
}

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 37] = names(&[
    &OF_SERVERS,
    &OF_STORAGE,
    &[
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
    ],
]);

impl Job for Download {
    const KIND: &'static str = "download";
    type Context = Context;
    /// `None` if the lecture was deleted.
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
            copy_upload(ctx, self.lecture_id, &file).await?;
            let source = Source { runs: vec![file], announced_seconds: None };
            let session = Session::of_source(ctx, &source, self.announced_seconds).await?;
            return self.store_audio(ctx, attempt, &session, &scratch).await.map(Some);
        }
        let streams = streams(ctx, &lecture).await?;
        let directory =
            DownloadDir::open(&ctx.downloads, lecture.id, attempt.lease, ctx.settings.max_download_bytes)
                .await?;
        let candidates = Candidates {
            env: ctx,
            attempt,
            streams: &streams,
            directory: &directory,
            session_seconds: self.announced_seconds,
        };
        let audio = match candidates.collect().await {
            Ok(session) => self.store_audio(ctx, attempt, &session, &scratch).await,
            Err(error) => Err(error),
        };
        // The next attempt resumes the files of a failed one.
        let is_resumable = |error: &JobError| !error.is_fatal() || RESUMABLE_CLASSES.contains(&error.class());
        if !audio.as_ref().is_err_and(is_resumable) {
            directory.remove().await;
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
        let Some(audio) = output else { return Ok(self.commit_without_lecture()) };
        // The length belongs to earlier audio.
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

    /// Bedel cancels this job before it deletes a lecture. Here another program deleted the row, so the files
    /// still need a clean-up.
    fn commit_without_lecture(&self) -> Commit {
        Commit::cancelled("the lecture was deleted").then(CleanupOrphans::for_lecture(self.lecture_id))
    }

    async fn give_up(end: &End, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        if DEAD_STREAM_CLASSES.contains(&end.class.as_str()) {
            sqlx::query(
                "-- download::give_up
                 UPDATE lectures SET stream_url = '' WHERE id = $1 AND stream_url <> $2",
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
    async fn store_audio(
        &self,
        ctx: &Environment,
        attempt: &Attempt,
        session: &Session,
        scratch: &Scratch,
    ) -> Result<Audio, JobError> {
        attempt.set_progress(fetch::PROGRESS_FETCHED);
        let audio = scratch.path.join("audio.m4a");
        ctx.media.write_audio(&session.pieces(), &scratch.path, &audio).await?;

        let temporary = keys::audio_temp(self.lecture_id, attempt.lease);
        ctx.storage.put_file(&temporary, &audio).await?;
        attempt.check_lease().await?;
        match ctx.storage.rename(&temporary, &keys::audio(self.lecture_id)).await {
            // Only a newer lease or a clean-up after a deletion removes this object.
            Err(StorageError::Missing { .. }) => {
                return Err(JobError::retry("storage", "the audio was removed while it was being stored"));
            }
            renamed => renamed?,
        }
        attempt.set_progress(1.0);
        Ok(Audio { announced_seconds: session.announced_seconds })
    }
}

/// The streams that Panopto named, or the one that a client sent.
async fn streams(ctx: &Environment, lecture: &Lecture) -> Result<Vec<Stream>, JobError> {
    if lecture.stream_url.is_empty() {
        return Err(no_stream("The address of this recording's stream is unknown."));
    }
    let url = fetch::check(ctx, &lecture.stream_url)?;
    let connection = &mut *ctx.pool.acquire().await?;
    match lecture::streams::read(connection, lecture.id, &lecture.stream_url).await? {
        None => Err(no_stream("The stored streams of this recording cannot be read.")),
        Some(streams) if streams.is_empty() => {
            Ok(vec![Stream { url, kind: StreamKind::Podcast, spans: Vec::new() }])
        }
        Some(streams) => Ok(streams),
    }
}

fn no_stream(reason: &str) -> JobError {
    JobError::fatal("no-stream", format!("{reason} Send the recording again from its Panopto page."))
}

/// Copies a client's upload to `target`. Refuses it if it is not media.
async fn copy_upload(ctx: &Environment, lecture_id: Uuid, target: &Path) -> Result<(), JobError> {
    let mut uploads = ctx.storage.list(&keys::audio_temp_prefix(lecture_id)).await?;
    uploads.retain(|stored| {
        !stored.is_staged() && keys::parse(&stored.key).is_some_and(|key| key.class == Class::Upload)
    });
    // Newest first. An upload that arrived while another was accepted is deleted again; then the other one is
    // used.
    uploads.sort_by_key(|stored| std::cmp::Reverse(stored.modified));
    let mut copied = false;
    for upload in uploads {
        copied = match ctx.storage.get_file(&upload.key, target).await {
            Err(StorageError::Missing { .. }) => false,
            outcome => outcome.map(|()| true)?,
        };
        if copied {
            break;
        }
    }
    if !copied {
        return Err(upload_missing());
    }
    let head = read_head(target).await.map_err(|error| JobError::local_disk(&error))?;
    require_media(body::sniff(&head, None), "the upload".to_owned())?;
    Ok(())
}

fn upload_missing() -> JobError {
    JobError::fatal("upload-missing", "The uploaded recording is no longer stored. Upload it again.")
}

async fn read_head(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    tokio::fs::File::open(file).await?.take(body::HEAD_BYTES as u64).read_to_end(&mut head).await?;
    Ok(head)
}
