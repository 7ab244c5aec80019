//! `submit`: resolves the URLs of the recording's streams.
//!
//! A client that watched the page play sends the stream. Otherwise the job asks Panopto with the viewer's own
//! request. Four outcomes are possible: continue, wait (the recording is still being encoded), fail and say
//! what to do, or retry.

use std::time::Duration;

use bedel_fetch::{FetchError, SmallBody};
use bedel_queue::{Attempt, Backoff, Breaker, Commit, Job, JobError, Policy};
use bedel_recordings::panopto::delivery_info::{self, Delivery};
use bedel_recordings::panopto::streams::{Stream, StreamKind};
use bedel_recordings::panopto::{self, SessionIdError};
use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

use crate::environment::Context;
use crate::error_class::{ErrorClass, OF_SERVERS, names};
pub use crate::kinds::Submit;
use crate::lecture::{self, Lecture};
use crate::pipeline::{self, Stage, stage_hooks};

/// Time limit of a request to Panopto, from connecting to the last byte.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Result of `run` for a lecture that still exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The recording's streams, best sound first; empty if the lecture already has a stream.
    pub streams: Vec<Stream>,
    /// The recording's name, if Panopto sent one.
    pub title: Option<String>,
    /// Its length in seconds, if Panopto sent one.
    pub seconds: Option<f64>,
}

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 37] = names(&[
    &OF_SERVERS,
    &[
        ErrorClass::TooLarge,
        ErrorClass::HttpClient,
        ErrorClass::Encoding,
        ErrorClass::PanoptoError,
        ErrorClass::PanoptoAnswer,
        ErrorClass::Deleted,
        ErrorClass::Archived,
        ErrorClass::NoStream,
        ErrorClass::NotPanopto,
        ErrorClass::BadLink,
        ErrorClass::LinkInvalid,
        ErrorClass::LinkTooLong,
        ErrorClass::LinkControlCharacters,
        ErrorClass::LinkScheme,
        ErrorClass::LinkCredentials,
        ErrorClass::LinkIpHost,
        ErrorClass::LinkForeignHost,
        ErrorClass::LinkFolder,
        ErrorClass::Playlist,
        ErrorClass::LinkLoginPage,
        ErrorClass::LinkOtherId,
        ErrorClass::LinkNotAGuid,
        ErrorClass::LinkIdsDiffer,
        ErrorClass::ClientIdNotAGuid,
    ],
]);

impl Job for Submit {
    const KIND: &'static str = "submit";
    type Context = Context;
    /// `None` if the lecture was deleted.
    type Output = Option<Resolved>;

    /// Six attempts over a quarter of an hour: one short question each, and Panopto's maintenance passes in
    /// minutes. Waiting for an encoding costs no attempt and ends after a day.
    fn policy() -> Policy {
        Policy {
            queue: "panopto",
            slots: 4,
            max_attempts: 6,
            backoff: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(600) },
            timeout: Duration::from_secs(120),
            breaker: Some(Breaker::default()),
            error_classes: &ERROR_CLASSES,
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Self::Output, JobError> {
        let Some(lecture) = lecture::read(&mut *ctx.pool.acquire().await?, self.lecture_id).await? else {
            return Ok(None);
        };
        if !lecture.stream_url.is_empty() {
            return Ok(Some(Resolved { streams: Vec::new(), title: None, seconds: None }));
        }
        resolve(ctx, attempt, &lecture).await.map(Some)
    }

    stage_hooks!();
}

impl Stage for Submit {
    fn lecture_id(&self) -> Uuid {
        self.lecture_id
    }

    /// Retrying a discarded job revives its failed lecture.
    async fn mark_begun(&self, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "-- submit::mark_begun
             UPDATE lectures SET status = 'pending' WHERE id = $1 AND status = 'failed'",
        )
        .bind(self.lecture_id)
        .execute(tx)
        .await?;
        Ok(())
    }

    async fn store(
        &self,
        ctx: &Context,
        attempt: &Attempt,
        lecture: &Lecture,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let Some(resolved) = output else { return Ok(self.commit_without_lecture()) };
        // A stream that a client sent meanwhile is newer than the resolved one.
        let (stream_url, seconds) = match (lecture.stream_url.as_str(), resolved.streams.first()) {
            ("", Some(stream)) => (stream.url.as_str(), resolved.seconds),
            (stored, _) => (stored, None),
        };
        if !resolved.streams.is_empty() {
            lecture::streams::replace(tx, self.lecture_id, &resolved.streams).await?;
        }
        sqlx::query(
            "-- submit::store
             UPDATE lectures SET stream_url = $2, title = coalesce(nullif(title, ''), $3), error_message = NULL
             WHERE id = $1",
        )
        .bind(self.lecture_id)
        .bind(stream_url)
        .bind(resolved.title.as_deref())
        .execute(tx)
        .await?;
        let download = pipeline::after_submit(attempt, self.lecture_id, stream_url, seconds, &ctx.settings);
        Ok(Commit::done().then(download))
    }
}

/// Asks Panopto for the stream.
async fn resolve(ctx: &Context, attempt: &Attempt, lecture: &Lecture) -> Result<Resolved, JobError> {
    let settings = &ctx.settings;
    let recording =
        panopto::recording(&lecture.panopto_url, lecture.panopto_session_id.as_deref(), &settings.tenants)
            .map_err(|error: SessionIdError| JobError::fatal(error.code(), error.to_string()))?;
    let end_point = delivery_info::end_point(&recording);
    let form = delivery_info::form(recording.key);
    let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let answer = ctx.fetcher.post_form(&end_point, &form, delivery_info::MAX_BYTES, ANSWER_TIMEOUT).await;
    let host = end_point.host_str().unwrap_or("Panopto");
    let answer = answer.map_err(|error| request_error(error, host))?;
    interpret(ctx, attempt, &end_point, &answer).map_err(JobError::clears_group)
}

/// Turns Panopto's answer into a stream or the job's error.
fn interpret(
    ctx: &Context,
    attempt: &Attempt,
    end_point: &Url,
    answer: &SmallBody,
) -> Result<Resolved, JobError> {
    let host = end_point.host_str().unwrap_or("Panopto");
    match delivery_info::read(end_point, &answer.bytes, answer.content_type.as_deref()) {
        Delivery::Ready { mut streams, title, seconds } => {
            let fetch = &ctx.settings.fetch;
            fetch.check(streams[0].url.as_str()).map_err(FetchError::from)?;
            // A podcast has all sound, and slides rarely have any. Any other stream may have a part of it.
            let is_podcast = streams[0].kind == StreamKind::Podcast;
            for stream in streams.iter().filter(|stream| !is_podcast && stream.kind != StreamKind::Screen) {
                fetch.check(stream.url.as_str()).map_err(FetchError::from)?;
            }
            streams.retain(|stream| fetch.check(stream.url.as_str()).is_ok());
            Ok(Resolved { streams, title, seconds })
        }
        Delivery::Encoding => Err(JobError::wait(
            "encoding",
            "Panopto is still processing this recording. Bedel checks again until it is ready; you need not do \
             anything.",
            encoding_pause(attempt.age_seconds),
        )),
        Delivery::LoginRequired => Err(login_required(host)),
        Delivery::Deleted => Err(JobError::fatal(
            "deleted",
            "Panopto says that this recording no longer exists. Check the link, or ask the lecturer whether it was \
             removed.",
        )),
        Delivery::Archived => Err(JobError::fatal(
            "archived",
            "Panopto has archived this recording. Open its page, request a restore there, and send it again once it \
             plays.",
        )),
        Delivery::NoStream => Err(JobError::fatal(
            "no-stream",
            "Panopto offers no stream for this recording. Check that it plays in your browser, then send it again \
             from that page.",
        )),
        Delivery::Refused(words) => {
            Err(JobError::retry("panopto-error", format!("Panopto reported an error: {words}")))
        }
        Delivery::Unreadable => {
            Err(JobError::retry("panopto-answer", format!("{host} sent an answer that Bedel cannot read.")))
        }
    }
}

/// The end point answers directly or redirects to a sign-in. It has no other reason to redirect or refuse.
fn request_error(error: FetchError, asked_host: &str) -> JobError {
    match &error {
        FetchError::Login { host } | FetchError::Status { host, status: 300..=399 | 401 | 403, .. } => {
            login_required(host).clears_group()
        }
        // Without the end point the host is no Panopto server, even if it is a tenant's.
        FetchError::Status { host, status: 404 | 410, .. } => JobError::fatal(
            "not-panopto",
            format!("{host} does not answer like a Panopto site. Send the recording from its Panopto page."),
        )
        .clears_group(),
        _ => error.for_group(asked_host),
    }
}

fn login_required(host: &str) -> JobError {
    JobError::fatal(
        "login-required",
        format!(
            "{host} shows this recording only after signing in. Open it in your browser, sign in there and send it from \
             that page, or ask its owner to share it."
        ),
    )
}

/// Pause before the next check of a recording that is still being encoded: 10 minutes, then 20, 40, and an
/// hour each time. Panopto encodes for about as long as the recording lasts.
fn encoding_pause(age_seconds: f64) -> Duration {
    let minutes = match age_seconds / 60.0 {
        age if age < 10.0 => 10,
        age if age < 30.0 => 20,
        age if age < 70.0 => 40,
        _ => 60,
    };
    Duration::from_secs(minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_pauses_grow_with_the_age_of_the_job() {
        let minutes = |age: f64| encoding_pause(age * 60.0).as_secs() / 60;
        // The ages at which the pauses before them end.
        assert_eq!([0.0, 10.0, 30.0, 70.0, 130.0, 1000.0].map(minutes), [10, 20, 40, 60, 60, 60]);
        assert_eq!([9.9, 10.1, 29.9, 69.9].map(minutes), [10, 20, 20, 40]);
    }
}
