//! Accepts a recording that a client uploaded.
//!
//! The caller first stores the bytes under their own key. Then one transaction inserts the lecture, links the
//! user and enqueues `submit`. The download extracts and checks the upload like any other source.
//!
//! | existing lecture | effect of the upload |
//! |---|---|
//! | none of this course and recording | inserts one with the id in the upload's key |
//! | a live or completed one | links the user; the bytes are not used |
//! | any other | replaces its source and restarts it from the first stage |
//!
//! In the last case the caller must move the upload to the lecture's directory before the transaction,
//! because no file moves while one is open. [`find`] returns that lecture, and [`accept`] reports if it
//! changed meanwhile.

use bedel_queue::inspect;
use bedel_recordings::panopto::{self, SessionIdError};
use sqlx::PgConnection;
use uuid::Uuid;

use super::submission::{self, NewLecture, SubmitError};
use super::{Lecture, LectureStatus, UPLOADED, lecture_columns, restart};
use crate::environment::Settings;
use crate::invalid_field::{InvalidField, invalid};
use crate::options::{self, TranscriptionOptions};
use crate::user::ensure_user_exists;
use crate::webhook::callback;

/// The tenant of a recording without a known page, if no other is configured.
const DEFAULT_TENANT: &str = "rochester.hosted.panopto.com";

/// A client's description of its upload.
#[derive(Clone, Default)]
pub struct Metadata {
    /// The course. An unknown one is accepted.
    pub course_id: Uuid,
    /// The recording's id at Panopto.
    pub session_id: String,
    /// The page of the recording.
    pub source_url: Option<String>,
    /// The title that users see.
    pub title: Option<String>,
    /// How to transcribe it, where the course's defaults do not fit.
    pub options: TranscriptionOptions,
    /// The URL to tell when the lecture ends.
    pub callback_url: Option<String>,
}

/// Checked metadata of an upload.
#[derive(Clone)]
pub struct Upload {
    course_id: Uuid,
    session_id: String,
    panopto_url: String,
    title: Option<String>,
    options: TranscriptionOptions,
    callback_url: Option<String>,
}

impl Upload {
    /// Checks the metadata. The session id is the one in the page's URL, as for a submitted link, so both
    /// lead to the same lecture. Without one in the URL it is the client's.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`] with each invalid field.
    pub fn new(metadata: Metadata, settings: &Settings) -> Result<Self, SubmitError> {
        let Metadata { course_id, session_id, source_url, title, options, callback_url } = metadata;
        let session_id = session_id.trim();
        let title = submission::non_empty(title);
        let mut errors: Vec<InvalidField> =
            title.iter().filter_map(|title| submission::refuse_nul("title", title)).collect();
        errors.extend(title.as_deref().and_then(submission::refuse_long_title));
        let options = options.checked().unwrap_or_else(|invalid| {
            errors.extend(invalid);
            TranscriptionOptions::default()
        });
        let callback_url = submission::check_callback(callback_url, settings).unwrap_or_else(|refused| {
            errors.push(refused);
            None
        });

        let key_of = |url: &str| panopto::session_id(url, Some(session_id), &settings.tenants);
        let viewer_url = viewer_url(session_id, settings);
        let page = submission::non_empty(source_url).filter(|url| key_of(url).is_ok());
        let panopto_url = page.unwrap_or(viewer_url);
        match key_of(&panopto_url) {
            Ok(session_id) if errors.is_empty() => {
                Ok(Self { course_id, session_id, panopto_url, title, options, callback_url })
            }
            Ok(_) => Err(SubmitError::Invalid(errors)),
            Err(_) => {
                let error = SessionIdError::ClientIdNotAGuid;
                errors.push(invalid("session_id", error.code(), "must be the recording's id, a GUID"));
                Err(SubmitError::Invalid(errors))
            }
        }
    }
}

/// The URL of a recording's page.
fn viewer_url(session_id: &str, settings: &Settings) -> String {
    let tenant = settings.tenants.first().map_or(DEFAULT_TENANT, String::as_str);
    let encoded: String = url::form_urlencoded::byte_serialize(session_id.as_bytes()).collect();
    format!("https://{tenant}/Panopto/Pages/Viewer.aspx?id={encoded}")
}

/// The existing lecture whose source the upload replaces: move the upload into its directory. `None` if the
/// upload stays in its own directory.
pub async fn find(connection: &mut PgConnection, upload: &Upload) -> Result<Option<Uuid>, sqlx::Error> {
    let existing: Option<Lecture> = sqlx::query_as(concat!(
        "-- upload::find
         SELECT ",
        lecture_columns!(),
        " FROM lectures WHERE course_id = $1 AND panopto_session_id = $2"
    ))
    .bind(upload.course_id)
    .bind(&upload.session_id)
    .fetch_optional(&mut *connection)
    .await?;
    match existing {
        Some(lecture) if needs_source(connection, &lecture).await? => Ok(Some(lecture.id)),
        _ => Ok(None),
    }
}

async fn needs_source(connection: &mut PgConnection, lecture: &Lecture) -> Result<bool, sqlx::Error> {
    Ok(lecture.status != LectureStatus::Completed
        && inspect::live_job(connection, lecture.id).await?.is_none())
}

/// Outcome of [`accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upload is accepted.
    Accepted(Uploaded),
    /// The bytes are in another lecture's directory: roll back, call [`find`] again and move them.
    Misplaced,
}

/// An accepted upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// The lecture, new or existing.
    pub lecture_id: Uuid,
    /// Its status at the end of the transaction.
    pub status: LectureStatus,
    /// True if the lecture is new.
    pub created: bool,
    /// Its live job; `None` if it is completed.
    pub job_id: Option<Uuid>,
    /// False if the lecture needed no source: the caller can delete the bytes.
    pub audio_used: bool,
}

/// Accepts an upload for `user_id`, in the caller's transaction. A new lecture gets the id `upload_id`;
/// `stored_for` is the lecture whose directory has the bytes. If the audio is used, wake the workers after
/// the commit.
pub async fn accept(
    tx: &mut PgConnection,
    settings: &Settings,
    user_id: Uuid,
    upload: &Upload,
    upload_id: Uuid,
    stored_for: Uuid,
) -> Result<Outcome, sqlx::Error> {
    ensure_user_exists(tx, user_id).await?;
    let new = NewLecture {
        id: upload_id,
        course_id: upload.course_id,
        session_id: &upload.session_id,
        panopto_url: &upload.panopto_url,
        stream_url: UPLOADED,
        title: upload.title.as_deref(),
    };
    let (lecture, created) = submission::create_or_lock(tx, &new).await?;
    let was_linked = !submission::link(tx, user_id, lecture.id).await?;
    if created && stored_for != upload_id {
        // The lecture that `find` returned was deleted, and a clean-up of its directory is enqueued.
        return Ok(Outcome::Misplaced);
    }
    if let Some(url) = &upload.callback_url {
        callback::store(tx, lecture.id, user_id, url).await?;
    }
    if created {
        submission::store_options(tx, user_id, &lecture, upload.options.clone()).await?;
        let job_id = submission::start(tx, user_id, &lecture, settings).await?;
        return Ok(accepted(&lecture, true, Some(job_id), true));
    }
    if was_linked && lecture.status != LectureStatus::Completed {
        options::lecture::fill(tx, lecture.id, upload.options.clone()).await?;
    }
    if !needs_source(tx, &lecture).await? {
        if lecture.status == LectureStatus::Completed && upload.callback_url.is_some() {
            submission::announce(tx, lecture.id, user_id).await?;
        }
        let job = inspect::live_job(tx, lecture.id).await?;
        return Ok(accepted(&lecture, false, job.map(|job| job.id), false));
    }
    if lecture.id != stored_for {
        return Ok(Outcome::Misplaced);
    }
    let lecture = replace_source(tx, &lecture, upload).await?;
    let enqueued = restart::restart_for(tx, Some(user_id), &lecture, settings).await?;
    let lecture = Lecture { status: LectureStatus::Pending, ..lecture };
    Ok(accepted(&lecture, false, Some(enqueued.id), true))
}

fn accepted(lecture: &Lecture, created: bool, job_id: Option<Uuid>, audio_used: bool) -> Outcome {
    Outcome::Accepted(Uploaded {
        lecture_id: lecture.id,
        status: lecture.status,
        created,
        job_id,
        audio_used,
    })
}

/// Replaces the lecture's source, and clears the audio and length of the old one.
async fn replace_source(
    tx: &mut PgConnection,
    lecture: &Lecture,
    upload: &Upload,
) -> Result<Lecture, sqlx::Error> {
    sqlx::query_as(concat!(
        "-- upload::replace_source
         UPDATE lectures
         SET stream_url = $2, title = coalesce(title, $3), audio_storage_key = NULL, duration_seconds = NULL
         WHERE id = $1 RETURNING ",
        lecture_columns!()
    ))
    .bind(lecture.id)
    .bind(UPLOADED)
    .bind(upload.title.as_deref())
    .fetch_one(tx)
    .await
}
