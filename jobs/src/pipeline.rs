//! The pipeline of a lecture: the order of its four stages, their successors and their common hooks.
//!
//! ```text
//! submit ──▶ download ──▶ probe ──▶ transcribe
//! ```
//!
//! A lecture has at most one live job, because the four stages share one unique key. The commit of a stage
//! completes its job and enqueues the next one in one transaction: a crash at any statement leaves exactly
//! one successor.

use bedel_queue::{Attempt, Commit, End, Job, JobError, NewJob};
use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

use crate::environment::{Context, Settings};
use crate::kinds::{Download, Probe, Submit, Transcribe};
use crate::lecture::{self, Lecture};

/// The kinds of a lecture's stages, in order.
pub const STAGES: [&str; 4] = [Submit::KIND, Download::KIND, Probe::KIND, Transcribe::KIND];

/// True for the kinds of a lecture's stages.
#[must_use]
pub fn is_stage(kind: &str) -> bool {
    STAGES.contains(&kind)
}

/// Prefix of the unique keys of lectures.
pub const KEY_PREFIX: &str = "lecture:";

/// The unique key of a lecture's four stages.
#[must_use]
pub fn unique_key(lecture_id: Uuid) -> String {
    format!("{KEY_PREFIX}{lecture_id}")
}

/// The first job of a lecture, grouped by the Panopto host that it asks. With a known stream it asks none.
#[must_use]
pub fn first_job(lecture_id: Uuid, panopto_url: &str, stream_url: &str, settings: &Settings) -> NewJob {
    let job = stage_job(&Submit { lecture_id }, settings);
    if stream_url.is_empty() { group_by_host(job, panopto_url) } else { job }
}

/// The job after `submit`: the download, grouped by the host of the stream.
#[must_use]
pub fn after_submit(
    attempt: &Attempt,
    lecture_id: Uuid,
    stream_url: &str,
    announced_seconds: Option<f64>,
    settings: &Settings,
) -> NewJob {
    let job = stage_job(&Download { lecture_id, announced_seconds }, settings);
    group_by_host(job.priority(attempt.priority), stream_url)
}

/// The job after `download`: the probe of the stored audio.
#[must_use]
pub fn after_download(
    attempt: &Attempt,
    lecture_id: Uuid,
    announced_seconds: Option<f64>,
    settings: &Settings,
) -> NewJob {
    stage_job(&Probe { lecture_id, announced_seconds }, settings).priority(attempt.priority)
}

/// The job after `probe`: the transcription.
#[must_use]
pub fn after_probe(attempt: &Attempt, lecture_id: Uuid, settings: &Settings) -> NewJob {
    stage_job(&Transcribe::new(lecture_id), settings).priority(attempt.priority)
}

/// The job that restarts a lecture: the latest stage whose input still exists. That is `transcribe` for
/// stored audio of known length, `probe` for other stored audio, and the first stage without audio.
#[must_use]
pub fn restart_job(lecture: &Lecture, settings: &Settings) -> NewJob {
    let lecture_id = lecture.id;
    match (&lecture.audio_storage_key, lecture.duration_seconds) {
        (Some(_), Some(_)) => stage_job(&Transcribe::new(lecture_id), settings),
        (Some(_), None) => stage_job(&Probe { lecture_id, announced_seconds: None }, settings),
        (None, _) => first_job(lecture_id, &lecture.panopto_url, &lecture.stream_url, settings),
    }
}

/// A stage's job, with its lecture as subject and unique key.
#[must_use]
pub fn stage_job<S: Stage>(args: &S, settings: &Settings) -> NewJob {
    bind_to_lecture(NewJob::new(args), args.lecture_id(), settings)
}

/// Gives a stage's job its lecture as subject and unique key, and the deadline of the settings.
#[must_use]
pub fn bind_to_lecture(job: NewJob, lecture_id: Uuid, settings: &Settings) -> NewJob {
    let job = job.subject(lecture_id).unique_key(unique_key(lecture_id));
    match settings.give_up_after {
        Some(limit) => job.give_up_after(limit),
        None => job,
    }
}

/// The host of a URL: the group of the jobs that depend on it. `None` for the marker of an upload.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Groups a job by the host of a URL.
#[must_use]
pub fn group_by_host(job: NewJob, url: &str) -> NewJob {
    match host_of(url) {
        Some(host) => job.group_key(host),
        None => job,
    }
}

/// A stage of the pipeline. Put `stage_hooks!()` into its `impl Job`: those hooks call this trait.
pub trait Stage: Job<Context = Context> {
    /// The lecture of this job.
    fn lecture_id(&self) -> Uuid;

    /// Sets the lecture's status when an attempt begins.
    fn mark_begun(&self, tx: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        lecture::begin(tx, self.lecture_id())
    }

    /// Stores an attempt's output in the locked lecture and names the next job, in the transaction that
    /// completes this one.
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

    /// How the job ends if its lecture was deleted.
    fn commit_without_lecture(&self) -> Commit {
        Commit::cancelled("the lecture was deleted")
    }

    /// Clears what a retry must not reuse, before a discarded or cancelled job fails its lecture.
    fn give_up(end: &End, tx: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send {
        let _ = (end, tx);
        async { Ok(()) }
    }
}

/// The hooks of `impl Job`, the same for all stages.
macro_rules! stage_hooks {
    () => {
        async fn begin(
            &self,
            _: &$crate::environment::Context,
            _: &bedel_queue::Attempt,
            tx: &mut sqlx::PgConnection,
        ) -> Result<(), bedel_queue::JobError> {
            Ok($crate::pipeline::Stage::mark_begun(self, tx).await?)
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
                None => Ok(self.commit_without_lecture()),
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
