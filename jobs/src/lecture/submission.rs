//! Accepts a submitted lecture: one transaction adds the user's row, the lecture, the link and the job.
//!
//! Two concurrent first submissions of one lecture meet at its unique key (course, session): one inserts, the
//! other waits and then locks the inserted row. All further decisions are made under the lecture's lock.
//! Every change of stage takes that lock first, so the lecture's live job cannot change meanwhile.

use bedel_queue::{Job, inspect};
use bedel_recordings::panopto::{self, SessionIdError};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Lecture, LectureStatus, UPLOADED, lecture_columns, priority, restart};
use crate::environment::Settings;
use crate::invalid_field::{InvalidField, invalid};
use crate::kinds::Download;
use crate::options::{self, TranscriptionOptions};
use crate::pipeline;
use crate::user::ensure_user_exists;
use crate::webhook::{callback, publish, receiver_url};

/// Longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 500;

/// A client's submission.
#[derive(Clone, Default)]
pub struct Submission {
    /// The course. An unknown one is accepted: the schema has no foreign key.
    pub course_id: Uuid,
    /// The viewer's URL; the session id is derived from it.
    pub panopto_url: String,
    /// The stream's URL, if the client knows it; otherwise the submit job resolves it.
    pub stream_url: Option<String>,
    /// The session id according to the client; used only if the URL has none.
    pub session_id: Option<String>,
    /// The title that users see. At most [`MAX_TITLE_CHARS`] characters.
    pub title: Option<String>,
    /// How to transcribe it, where the course's defaults do not fit.
    pub options: TranscriptionOptions,
    /// The URL to tell when the lecture ends.
    pub callback_url: Option<String>,
}

/// Outcome of [`submit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The lecture, new or existing.
    pub lecture_id: Uuid,
    /// Its status at the end of the transaction.
    pub status: LectureStatus,
    /// True if the lecture is new.
    pub created: bool,
    /// Its live job; `None` if it is completed.
    pub job_id: Option<Uuid>,
    /// True if a job became due: wake the workers after the commit.
    pub wake: bool,
}

/// Why a submission was refused.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Some fields are invalid.
    #[error("{}", join_messages(.0))]
    Invalid(Vec<InvalidField>),
    /// The database failed; roll the transaction back.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Accepts a submission for `user_id`, in the caller's transaction.
///
/// An existing lecture is linked to the user. A completed one is not changed further. A live one takes a
/// changed stream URL and a missing title, and its waiting job becomes due; a running attempt is not
/// interrupted. Any other restarts at the latest stage whose input still exists. Options of an existing
/// lecture stay; a user who was linked before can set those that are not set, until it is completed. A callback
/// replaces the user's earlier one; that of a completed lecture gets its message at once.
///
/// # Errors
/// [`SubmitError::Invalid`] before anything is written.
pub async fn submit(
    tx: &mut PgConnection,
    settings: &Settings,
    user_id: Uuid,
    submission: Submission,
) -> Result<Submitted, SubmitError> {
    let (submission, session_id) = validate(submission, settings)?;
    ensure_user_exists(tx, user_id).await?;
    let new = NewLecture {
        id: Uuid::new_v4(),
        course_id: submission.course_id,
        session_id: &session_id,
        panopto_url: &submission.panopto_url,
        stream_url: submission.stream_url.as_deref().unwrap_or_default(),
        title: submission.title.as_deref(),
    };
    let (lecture, created) = create_or_lock(tx, &new).await?;
    let was_linked = !link(tx, user_id, lecture.id).await?;
    if let Some(url) = &submission.callback_url {
        callback::store(tx, lecture.id, user_id, url).await?;
    }

    if created {
        store_options(tx, user_id, &lecture, submission.options).await?;
        let job_id = start(tx, user_id, &lecture, settings).await?;
        return Ok(outcome(&lecture, true, Some(job_id), true));
    }
    if lecture.status == LectureStatus::Completed {
        let wake = submission.callback_url.is_some() && announce(tx, lecture.id, user_id).await?;
        return Ok(outcome(&lecture, false, None, wake));
    }
    if was_linked {
        options::lecture::fill(tx, lecture.id, submission.options.clone()).await?;
    }
    let live = inspect::live_job(tx, lecture.id).await?;
    let lecture = amend(tx, lecture, &submission, live.is_some()).await?;
    if let Some(job) = live {
        // The job may wait for a host that it no longer needs. With a stream, only a download depends on a
        // host.
        let mut wake = false;
        if !lecture.stream_url.is_empty() {
            let host = pipeline::host_of(&lecture.stream_url).filter(|_| job.kind == Download::KIND);
            wake = bedel_queue::regroup(tx, job.id, host.as_deref()).await?;
        }
        wake |= bedel_queue::pull_forward(tx, lecture.id).await?;
        return Ok(outcome(&lecture, false, Some(job.id), wake));
    }
    let enqueued = restart::restart_for(tx, Some(user_id), &lecture, settings).await?;
    // The restart sets the status: return what it wrote.
    let lecture = super::read(tx, lecture.id).await?.unwrap_or(lecture);
    Ok(outcome(&lecture, false, Some(enqueued.id), true))
}

/// Tells the user's callback of a lecture that is completed already. True if a job was enqueued.
pub(super) async fn announce(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    user_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let jobs = publish::lecture_was_completed(tx, lecture_id, user_id).await?;
    Ok(!bedel_queue::enqueue_many(tx, &jobs).await?.is_empty())
}

/// Enqueues the first job of a new lecture.
pub(super) async fn start(
    tx: &mut PgConnection,
    user_id: Uuid,
    lecture: &Lecture,
    settings: &Settings,
) -> Result<Uuid, sqlx::Error> {
    let priority = priority::of_next_job(tx, Some(user_id), lecture.id).await?;
    let job = pipeline::first_job(lecture.id, &lecture.panopto_url, &lecture.stream_url, settings)
        .priority(priority);
    Ok(bedel_queue::enqueue(tx, &job).await?.id)
}

/// Stores the options of a new lecture.
pub(super) async fn store_options(
    tx: &mut PgConnection,
    user_id: Uuid,
    lecture: &Lecture,
    submitted: TranscriptionOptions,
) -> Result<(), sqlx::Error> {
    let resolved = options::course::resolve(tx, lecture.course_id, user_id, submitted).await?;
    options::lecture::fill(tx, lecture.id, resolved).await
}

fn outcome(lecture: &Lecture, created: bool, job_id: Option<Uuid>, wake: bool) -> Submitted {
    Submitted { lecture_id: lecture.id, status: lecture.status, created, job_id, wake }
}

/// The submission in its stored form, and its session id.
fn validate(mut submission: Submission, settings: &Settings) -> Result<(Submission, String), SubmitError> {
    submission.panopto_url = submission.panopto_url.trim().to_owned();
    submission.stream_url = non_empty(submission.stream_url);
    submission.session_id = non_empty(submission.session_id);
    submission.title = non_empty(submission.title);

    let mut errors = Vec::new();
    let texts = [
        ("panopto_url", Some(&submission.panopto_url)),
        ("stream_url", submission.stream_url.as_ref()),
        ("session_id", submission.session_id.as_ref()),
        ("title", submission.title.as_ref()),
    ];
    for (field, text) in texts {
        errors.extend(text.and_then(|text| refuse_nul(field, text)));
    }
    errors.extend(submission.title.as_deref().and_then(refuse_long_title));
    match std::mem::take(&mut submission.options).checked() {
        Ok(options) => submission.options = options,
        Err(invalid) => errors.extend(invalid),
    }
    match check_callback(submission.callback_url.take(), settings) {
        Ok(url) => submission.callback_url = url,
        Err(refused) => errors.push(refused),
    }
    // The download checks the addresses that the host's name resolves to.
    let stream_url = submission.stream_url.as_deref().map(|url| settings.fetch.check(url));
    if let Some(Err(refusal)) = stream_url
        && !errors.iter().any(|known| known.field == "stream_url")
    {
        errors.push(invalid("stream_url", "url", refusal.to_string()));
    }
    match panopto::session_id(&submission.panopto_url, submission.session_id.as_deref(), &settings.tenants) {
        Ok(session_id) if errors.is_empty() => Ok((submission, session_id)),
        Ok(_) => Err(SubmitError::Invalid(errors)),
        Err(error) => {
            let field = match error {
                SessionIdError::ClientIdNotAGuid => "session_id",
                _ => "panopto_url",
            };
            if !errors.iter().any(|known| known.field == field) {
                errors.push(invalid(field, error.code(), error.to_string()));
            }
            Err(SubmitError::Invalid(errors))
        }
    }
}

/// The callback's URL in its stored form.
pub(super) fn check_callback(
    url: Option<String>,
    settings: &Settings,
) -> Result<Option<String>, InvalidField> {
    non_empty(url).map(|url| receiver_url::check("callback_url", &url, settings)).transpose()
}

/// Trims the text. An empty one counts as missing.
pub(super) fn non_empty(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Refuses a NUL character, the only one that PostgreSQL cannot store.
pub(super) fn refuse_nul(field: &'static str, text: &str) -> Option<InvalidField> {
    text.contains('\0').then(|| invalid(field, "nul", "a NUL character cannot be stored: remove it"))
}

pub(super) fn refuse_long_title(title: &str) -> Option<InvalidField> {
    title.chars().nth(MAX_TITLE_CHARS).map(|_| {
        invalid(
            "title",
            "too-long",
            format!("the title is longer than {MAX_TITLE_CHARS} characters: shorten it"),
        )
    })
}

fn join_messages(errors: &[InvalidField]) -> String {
    errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect::<Vec<_>>().join("; ")
}

/// A lecture to insert unless it exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewLecture<'a> {
    pub(super) id: Uuid,
    pub(super) course_id: Uuid,
    pub(super) session_id: &'a str,
    pub(super) panopto_url: &'a str,
    pub(super) stream_url: &'a str,
    pub(super) title: Option<&'a str>,
}

/// Inserts the lecture, or locks the existing one with its key. The flag is true after an insert.
pub(super) async fn create_or_lock(
    tx: &mut PgConnection,
    new: &NewLecture<'_>,
) -> Result<(Lecture, bool), sqlx::Error> {
    // Loops only if the lecture is deleted between the two statements.
    loop {
        let inserted = sqlx::query_as(concat!(
            "-- submission::insert
             INSERT INTO lectures (id, course_id, panopto_session_id, panopto_url, stream_url, title)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (course_id, panopto_session_id) DO NOTHING
             RETURNING ",
            lecture_columns!()
        ))
        .bind(new.id)
        .bind(new.course_id)
        .bind(new.session_id)
        .bind(new.panopto_url)
        .bind(new.stream_url)
        .bind(new.title)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(lecture) = inserted {
            return Ok((lecture, true));
        }
        let found = sqlx::query_as(concat!(
            "-- submission::lock_by_session
             SELECT ",
            lecture_columns!(),
            " FROM lectures WHERE course_id = $1 AND panopto_session_id = $2 FOR UPDATE"
        ))
        .bind(new.course_id)
        .bind(new.session_id)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(lecture) = found {
            return Ok((lecture, false));
        }
    }
}

/// Links the user to the lecture. False if they were linked before.
pub(super) async fn link(
    tx: &mut PgConnection,
    user_id: Uuid,
    lecture_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let linked = sqlx::query(
        "-- submission::link
         INSERT INTO user_lectures (user_id, lecture_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(user_id)
    .bind(lecture_id)
    .execute(tx)
    .await?;
    Ok(linked.rows_affected() == 1)
}

/// Stores a changed stream URL and a missing title. A live lecture keeps its uploaded source; without a live
/// job the client's stream replaces it.
async fn amend(
    tx: &mut PgConnection,
    lecture: Lecture,
    submission: &Submission,
    is_live: bool,
) -> Result<Lecture, sqlx::Error> {
    let keeps_upload = is_live && lecture.stream_url == UPLOADED;
    let stream_url =
        submission.stream_url.as_deref().filter(|url| *url != lecture.stream_url && !keeps_upload);
    let title = submission.title.as_deref().filter(|_| lecture.title.is_none());
    if stream_url.is_none() && title.is_none() {
        return Ok(lecture);
    }
    sqlx::query_as(concat!(
        "-- submission::amend
         UPDATE lectures SET stream_url = coalesce($2, stream_url), title = coalesce(title, $3)
         WHERE id = $1 RETURNING ",
        lecture_columns!()
    ))
    .bind(lecture.id)
    .bind(stream_url)
    .bind(title)
    .fetch_one(tx)
    .await
}
