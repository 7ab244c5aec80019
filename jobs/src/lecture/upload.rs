//! Accepting a recording whose sound a client uploaded.
//!
//! The bytes are stored first, under a key of their own, and then one transaction makes the lecture, links the user and enqueues
//! submit. From there on they are the download's source like any other, extracted and checked in the same way.
//!
//! | what is there | what the upload does |
//! |---|---|
//! | no lecture of this course and recording | makes it, with the id that is in the upload's key |
//! | a lecture at work, or a completed one | links the user; the bytes are not used |
//! | one that failed, or that no job works for | replaces its source and starts it again from the front |
//!
//! In the last case the upload has to be moved to the lecture's own directory before the transaction, since nothing is moved
//! while one is open: [`find`] tells where to, and [`accept`] says where the lecture has changed meanwhile.

use bedel_queue::inspect;
use bedel_recordings::panopto::{self, SessionIdError};
use sqlx::PgConnection;
use uuid::Uuid;

use super::submission::{self, InvalidField, NewLecture, SubmitError, invalid};
use super::{Lecture, LectureStatus, UPLOADED, restart};
use crate::environment::Settings;
use crate::user::ensure_user_exists;

/// The tenant of a recording whose page a client did not tell, where no other is configured.
const DEFAULT_TENANT: &str = "rochester.hosted.panopto.com";

/// What a client says of the sound it uploads.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The course; one that nobody knows is accepted.
    pub course_id: Uuid,
    /// The recording's id at Panopto.
    pub session_id: String,
    /// The page it was found on.
    pub source_url: Option<String>,
    /// Shown to people.
    pub title: Option<String>,
}

/// Metadata that can be stored.
#[derive(Debug, Clone)]
pub struct Upload {
    course_id: Uuid,
    session_id: String,
    panopto_url: String,
    title: Option<String>,
}

impl Upload {
    /// Checks what a client said. The lecture's key is the id that the page names, as it is for a submitted link, so that both
    /// ways of bringing a recording in meet; the client's own where the page names none.
    ///
    /// # Errors
    /// [`SubmitError::Invalid`], field by field.
    pub fn new(metadata: Metadata, settings: &Settings) -> Result<Self, SubmitError> {
        let Metadata { course_id, session_id, source_url, title } = metadata;
        let session_id = session_id.trim();
        let title = submission::filled(title);
        let mut errors: Vec<InvalidField> =
            title.iter().filter_map(|title| submission::unstorable("title", title)).collect();
        errors.extend(title.as_deref().and_then(submission::too_long_a_title));

        let key_of = |url: &str| panopto::session_id(url, Some(session_id), &settings.tenants);
        let viewer = viewer(session_id, settings);
        let page = submission::filled(source_url).filter(|url| key_of(url).is_ok());
        let panopto_url = page.unwrap_or(viewer);
        match key_of(&panopto_url) {
            Ok(session_id) if errors.is_empty() => Ok(Self { course_id, session_id, panopto_url, title }),
            Ok(_) => Err(SubmitError::Invalid(errors)),
            Err(_) => {
                let error = SessionIdError::ClientIdNotAGuid;
                errors.push(invalid("session_id", error.code(), "this must be the recording's id, a GUID"));
                Err(SubmitError::Invalid(errors))
            }
        }
    }
}

/// The page of a recording.
fn viewer(session_id: &str, settings: &Settings) -> String {
    let tenant = settings.tenants.first().map_or(DEFAULT_TENANT, String::as_str);
    let encoded: String = url::form_urlencoded::byte_serialize(session_id.as_bytes()).collect();
    format!("https://{tenant}/Panopto/Pages/Viewer.aspx?id={encoded}")
}

/// The lecture that is there already, where it needs a new source: the upload belongs into its directory. None where the upload
/// belongs into its own.
///
/// # Errors
/// The database's.
pub async fn find(connection: &mut PgConnection, upload: &Upload) -> Result<Option<Uuid>, sqlx::Error> {
    let found: Option<Lecture> = sqlx::query_as(
        "-- upload::find
         SELECT * FROM lectures WHERE course_id = $1 AND panopto_session_id = $2",
    )
    .bind(upload.course_id)
    .bind(&upload.session_id)
    .fetch_optional(&mut *connection)
    .await?;
    match found {
        Some(lecture) if wants_source(connection, &lecture).await? => Ok(Some(lecture.id)),
        _ => Ok(None),
    }
}

async fn wants_source(connection: &mut PgConnection, lecture: &Lecture) -> Result<bool, sqlx::Error> {
    Ok(lecture.status != LectureStatus::Completed
        && inspect::live_job(connection, lecture.id).await?.is_none())
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is accepted.
    Accepted(Uploaded),
    /// The lecture is another one than that in whose directory the bytes are: undo the transaction, ask [`find`] again and move
    /// them.
    Misplaced,
}

/// An accepted upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// The lecture, new or found.
    pub lecture_id: Uuid,
    /// Its state at the end of the transaction.
    pub status: LectureStatus,
    /// True where the lecture did not exist before.
    pub created: bool,
    /// The live job that works for it; none where the lecture is completed.
    pub job_id: Option<Uuid>,
    /// False where the lecture needed no source: the bytes can be deleted.
    pub audio_used: bool,
}

/// Accepts an upload for `user_id`, in the caller's transaction. A new lecture gets the id `upload_id`; `stored_for` is the
/// lecture in whose directory the bytes are. Where the audio is used: wake the workers after the commit.
///
/// # Errors
/// The database's.
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
    submission::link(tx, user_id, lecture.id).await?;
    if created && stored_for != upload_id {
        // The one that was found is gone, and a clean-up of its directory is on its way.
        return Ok(Outcome::Misplaced);
    }
    if created {
        let job_id = submission::start(tx, user_id, &lecture, settings).await?;
        return Ok(accepted(&lecture, true, Some(job_id), true));
    }
    if !wants_source(tx, &lecture).await? {
        let job = inspect::live_job(tx, lecture.id).await?;
        return Ok(accepted(&lecture, false, job.map(|job| job.id), false));
    }
    if lecture.id != stored_for {
        return Ok(Outcome::Misplaced);
    }
    let lecture = replace_source(tx, &lecture, upload).await?;
    let enqueued = restart::restart_for(tx, user_id, &lecture, settings).await?;
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

/// Whatever was made of the old source is not the new one's.
async fn replace_source(
    tx: &mut PgConnection,
    lecture: &Lecture,
    upload: &Upload,
) -> Result<Lecture, sqlx::Error> {
    sqlx::query_as(
        "-- upload::replace_source
         UPDATE lectures
         SET stream_url = $2, title = coalesce(title, $3), audio_storage_key = NULL, duration_seconds = NULL
         WHERE id = $1 RETURNING *",
    )
    .bind(lecture.id)
    .bind(UPLOADED)
    .bind(upload.title.as_deref())
    .fetch_one(tx)
    .await
}
