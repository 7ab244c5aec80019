//! The pipeline of a lecture: the order of its four stages, what follows what, and what all of them do alike.
//!
//! ```text
//! submit ──▶ download ──▶ probe ──▶ transcribe
//! ```
//!
//! A lecture has at most one live job: the four stages share one unique key. The commit of a stage completes its job and then
//! enqueues the next one, in one transaction, so a crash at any statement leaves exactly one successor.

use bedel_queue::{Attempt, Commit, End, Job, JobError, NewJob};
use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

use crate::environment::{Context, Settings};
use crate::kinds::{Download, Probe, Submit, Transcribe};
use crate::lecture::{self, Lecture};

/// The kinds that are a lecture's stages, in order.
pub const STAGES: [&str; 4] = [Submit::KIND, Download::KIND, Probe::KIND, Transcribe::KIND];

/// True for the kinds that are a lecture's stages.
#[must_use]
pub fn is_stage(kind: &str) -> bool {
    STAGES.contains(&kind)
}

/// What the unique keys of lectures begin with.
pub const KEY_PREFIX: &str = "lecture:";

/// The unique key that a lecture's four stages share.
#[must_use]
pub fn unique_key(lecture_id: Uuid) -> String {
    format!("{KEY_PREFIX}{lecture_id}")
}

/// The first job of a lecture. Grouped by the host that it will ask; with a known stream it asks none.
#[must_use]
pub fn first(lecture_id: Uuid, panopto_url: &str, stream_url: &str, settings: &Settings) -> NewJob {
    let job = stage_job(&Submit { lecture_id }, settings);
    if stream_url.is_empty() { grouped(job, panopto_url) } else { job }
}

/// After `submit`: the download, grouped by the host of the stream.
#[must_use]
pub fn after_submit(
    attempt: &Attempt,
    lecture_id: Uuid,
    stream_url: &str,
    announced_seconds: Option<f64>,
    settings: &Settings,
) -> NewJob {
    let job = stage_job(&Download { lecture_id, announced_seconds }, settings);
    grouped(job.priority(attempt.priority), stream_url)
}

/// After `download`: the probe of what was stored.
#[must_use]
pub fn after_download(
    attempt: &Attempt,
    lecture_id: Uuid,
    announced_seconds: Option<f64>,
    settings: &Settings,
) -> NewJob {
    stage_job(&Probe { lecture_id, announced_seconds }, settings).priority(attempt.priority)
}

/// After `probe`: the transcription.
#[must_use]
pub fn after_probe(attempt: &Attempt, lecture_id: Uuid, settings: &Settings) -> NewJob {
    stage_job(&Transcribe::of(lecture_id), settings).priority(attempt.priority)
}

/// Where a lecture starts again: the latest stage whose input still exists. Stored audio of known length is transcribed, stored
/// audio is probed, and without audio the lecture begins with its first stage.
#[must_use]
pub fn latest(lecture: &Lecture, settings: &Settings) -> NewJob {
    let lecture_id = lecture.id;
    match (&lecture.audio_storage_key, lecture.duration_seconds) {
        (Some(_), Some(_)) => stage_job(&Transcribe::of(lecture_id), settings),
        (Some(_), None) => stage_job(&Probe { lecture_id, announced_seconds: None }, settings),
        (None, _) => first(lecture_id, &lecture.panopto_url, &lecture.stream_url, settings),
    }
}

/// A job of a stage, with its lecture as subject and key.
#[must_use]
pub fn stage_job<S: Stage>(args: &S, settings: &Settings) -> NewJob {
    keyed(NewJob::new(args), args.lecture_id(), settings)
}

/// Gives a job of a stage its lecture as subject and key, and the deadline of the settings.
#[must_use]
pub fn keyed(job: NewJob, lecture_id: Uuid, settings: &Settings) -> NewJob {
    let job = job.subject(lecture_id).unique_key(unique_key(lecture_id));
    match settings.give_up_after {
        Some(limit) => job.give_up_after(limit),
        None => job,
    }
}

/// The host of a URL, which is the group of the jobs that depend on it. `None` for the mark of an upload.
#[must_use]
pub fn group(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Groups a job by the host of a URL.
#[must_use]
pub fn grouped(job: NewJob, url: &str) -> NewJob {
    match group(url) {
        Some(host) => job.group_key(host),
        None => job,
    }
}

/// A stage of the pipeline. `stage_hooks!()` in its `impl Job` gives it the hooks that all stages share.
pub trait Stage: Job<Context = Context> {
    /// The lecture it works for.
    fn lecture_id(&self) -> Uuid;

    /// Shows at the begin of an attempt that the lecture is at work.
    fn show(&self, tx: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        lecture::begin(tx, self.lecture_id())
    }

    /// Stores what an attempt found in the lecture, which is locked, and names the next job. Runs in the transaction that
    /// completes the job.
    ///
    /// # Errors
    /// As [`Job::commit`].
    fn store(
        &self,
        ctx: &Context,
        attempt: &Attempt,
        lecture: &Lecture,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> impl Future<Output = Result<Commit, JobError>> + Send;

    /// How the job ends where its lecture was deleted.
    fn without_lecture(&self) -> Commit {
        Commit::cancelled("the lecture was deleted")
    }

    /// What the lecture loses where the job is discarded or cancelled, before it fails.
    fn give_up(end: &End, tx: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        let _ = (end, tx);
        async { Ok(()) }
    }
}

/// The hooks of `impl Job` that all stages share.
macro_rules! stage_hooks {
    () => {
        async fn begin(
            &self,
            _: &$crate::environment::Context,
            _: &bedel_queue::Attempt,
            tx: &mut sqlx::PgConnection,
        ) -> Result<(), bedel_queue::JobError> {
            Ok($crate::pipeline::Stage::show(self, tx).await?)
        }

        async fn commit(
            &self,
            ctx: &$crate::environment::Context,
            attempt: &bedel_queue::Attempt,
            output: &Self::Output,
            tx: &mut sqlx::PgConnection,
        ) -> Result<bedel_queue::Commit, bedel_queue::JobError> {
            use $crate::pipeline::Stage;
            match $crate::lecture::lock(tx, self.lecture_id()).await? {
                Some(lecture) => self.store(ctx, attempt, &lecture, output, tx).await,
                None => Ok(self.without_lecture()),
            }
        }

        async fn attempt_failed(
            _: &$crate::environment::Context,
            failure: &bedel_queue::Failure,
            tx: &mut sqlx::PgConnection,
        ) -> Result<(), sqlx::Error> {
            $crate::lecture::record_failure(tx, failure).await
        }

        async fn ended(
            ctx: &$crate::environment::Context,
            end: &bedel_queue::End,
            tx: &mut sqlx::PgConnection,
        ) -> Result<Vec<bedel_queue::NewJob>, sqlx::Error> {
            <Self as $crate::pipeline::Stage>::give_up(end, tx).await?;
            $crate::lecture::fail(tx, end, &ctx.settings).await
        }
    };
}
pub(crate) use stage_hooks;
