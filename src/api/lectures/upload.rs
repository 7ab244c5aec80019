//! Uploads of a recording's audio by clients that can read it.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{Request, State};
use bedel_fetch::body::{BodyKind, sniff};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::upload::{self as lecture_upload, Metadata, Outcome, Upload, Uploaded};
use bedel_storage::keys::{self, Class};
use serde::Serialize;
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::body::Fields;
use super::super::option_fields;
use super::super::problem::Problem;
use super::super::state::ApiState;
use super::super::upload::{self, Form, Part};

/// Types besides `audio/*`: Panopto serves audio-only files as `video/mp4`, and some clients send a generic
/// type.
const TYPES: [&str; 2] = ["video/mp4", "application/octet-stream"];

/// Tries while the lecture changes concurrently. Then the client must retry.
const MAX_TRIES: usize = 5;

/// The upload form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the form is read part by part")]
pub(super) struct AudioForm {
    /// The recording's audio, in any container that ffmpeg reads.
    #[schema(value_type = String, format = Binary)]
    audio: Vec<u8>,
    /// A JSON object: `session_id` and `course_id` required; `title`, `duration`, `source_url`, `language`, `vocabulary`,
    /// `engine`, `model` and `callback_url` optional.
    #[schema(
        example = r#"{"session_id":"26b3ae9e-4a48-4dcc-96ba-0befba08a0fb","course_id":"00000000-0000-0000-0000-000000000001"}"#
    )]
    metadata: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct UploadedLecture {
    lecture_id: Uuid,
    status: LectureStatus,
    created: bool,
    job_id: Option<Uuid>,
    /// False if the lecture is in progress or completed and did not need this source.
    audio_used: bool,
}

/// Upload a recording's audio
///
/// For recordings that only the client can read. A failed lecture starts again with this source.
#[utoipa::path(
    post, path = "/api/lectures/audio", tag = "lectures",
    request_body(content = AudioForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The lecture, new or found", body = UploadedLecture),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
pub(super) async fn upload(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Json<UploadedLecture>, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let id = Uuid::new_v4();
    let mut form = AudioUpload { state: &state, id, stored: false, metadata: None };
    let read = upload::read(request, state.limits.max_audio_bytes, &mut form).await;
    let (stored, metadata) = (form.stored, form.metadata);
    let mut bytes = Bytes { place: Place { upload_id: id, lecture_id: id }, kept: false, state };
    // In its own task: if the client disconnects now, the bytes must still be kept or deleted.
    let task = async move {
        let accepted = match read {
            Ok(()) => bytes.accept(caller, stored, metadata).await,
            Err(problem) => Err(problem),
        };
        bytes.clean_up(stored, accepted).await
    };
    let joined = tokio::spawn(task.in_current_span());
    let uploaded = joined.await.map_err(|_| Problem::internal())??;
    let Uploaded { lecture_id, status, created, job_id, audio_used } = uploaded;
    Ok(Json(UploadedLecture { lecture_id, status, created, job_id, audio_used }))
}

/// Storage place of the bytes.
#[derive(Debug, Clone, Copy)]
struct Place {
    upload_id: Uuid,
    /// The directory's lecture.
    lecture_id: Uuid,
}

impl Place {
    fn key(self) -> String {
        keys::upload(self.lecture_id, self.upload_id)
    }

    async fn move_to(&mut self, state: &ApiState, lecture_id: Uuid) -> Result<(), Problem> {
        let moved = Self { lecture_id, ..*self };
        if lecture_id != self.lecture_id {
            let renamed = state.environment.storage.rename(&self.key(), &moved.key()).await;
            renamed.map_err(|error| Problem::storage(&error))?;
            *self = moved;
        }
        Ok(())
    }
}

/// A form while it is read.
struct AudioUpload<'a> {
    state: &'a ApiState,
    id: Uuid,
    stored: bool,
    metadata: Option<Upload>,
}

impl Form for AudioUpload<'_> {
    async fn part(&mut self, part: Part<'_>) -> Result<(), Problem> {
        match part.name() {
            "metadata" => {
                let text = part.text("metadata").await?;
                self.metadata = Some(metadata(&text, self.state)?);
            }
            "audio" if self.stored => {
                return Err(Problem::invalid_field(
                    "audio",
                    "twice",
                    "an upload is one recording: send the others separately",
                ));
            }
            "audio" => {
                let kind = part.content_type();
                if !kind.starts_with("audio/") && !TYPES.contains(&kind.as_str()) {
                    return Err(Problem::unsupported_media(
                        "Only audio is accepted: send it as audio/*, video/mp4 or application/octet-stream.",
                    ));
                }
                let key = Place { upload_id: self.id, lecture_id: self.id }.key();
                part.store(self.state, &key, self.state.limits.max_audio_bytes, looks_like_media).await?;
                self.stored = true;
            }
            _ => part.skip().await?,
        }
        Ok(())
    }
}

fn looks_like_media(head: &[u8]) -> Result<(), Problem> {
    match sniff(head, None) {
        BodyKind::Media => Ok(()),
        BodyKind::Empty => {
            Err(Problem::unsupported_media("The audio is empty. Reload the recording and try again."))
        }
        BodyKind::Login | BodyKind::Html => Err(Problem::unsupported_media(
            "This is a web page, not a recording. Sign in to Panopto, open the recording and try again.",
        )),
        _ => Err(Problem::unsupported_media("This is not a supported media file.")),
    }
}

fn metadata(text: &str, state: &ApiState) -> Result<Upload, Problem> {
    let mut fields = Fields::parse(text.as_bytes())
        .map_err(|_| Problem::invalid_field("metadata", "json", "this must be a JSON object"))?;
    let metadata = Metadata {
        course_id: fields.required_uuid("course_id").unwrap_or_default(),
        session_id: fields.required_text("session_id").unwrap_or_default(),
        source_url: fields.text("source_url"),
        title: fields.text("title"),
        options: option_fields::read(&mut fields),
        callback_url: fields.text("callback_url"),
    };
    fields.finish()?;
    Ok(Upload::new(metadata, &state.environment.settings)?)
}

/// Uploaded bytes that may become a lecture's source.
struct Bytes {
    state: ApiState,
    place: Place,
    /// A lecture may refer to them, since the answer to a COMMIT can be lost.
    kept: bool,
}

impl Bytes {
    async fn accept(
        &mut self,
        caller: Caller,
        stored: bool,
        metadata: Option<Upload>,
    ) -> Result<Uploaded, Problem> {
        let missing = |field| Problem::invalid_field(field, "missing", "this part of the form is required");
        let upload = metadata.as_ref().ok_or_else(|| missing("metadata"))?;
        if !stored {
            return Err(missing("audio"));
        }
        let id = self.place.upload_id;
        for _ in 0..MAX_TRIES {
            let mut connection = self.state.acquire().await?;
            let found = lecture_upload::find(&mut connection, upload).await?;
            drop(connection);
            self.place.move_to(&self.state, found.unwrap_or(id)).await?;
            let mut tx = self.state.begin().await?;
            let settings = &self.state.environment.settings;
            let place = self.place.lecture_id;
            let outcome =
                lecture_upload::accept(&mut tx, settings, caller.user_id, upload, id, place).await?;
            if let Outcome::Accepted(uploaded) = outcome {
                self.kept = uploaded.audio_used;
                tx.commit().await?;
                return Ok(uploaded);
            }
            tx.rollback().await?;
        }
        Err(Problem::unavailable("This lecture is being changed. Send it again in a few seconds."))
    }

    /// Deletes unused bytes, or those they replace, and wakes the workers.
    async fn clean_up(self, stored: bool, accepted: Result<Uploaded, Problem>) -> Result<Uploaded, Problem> {
        if stored && !self.kept {
            upload::delete_unused(&self.state, &self.place.key()).await;
        }
        let uploaded = accepted?;
        if uploaded.audio_used {
            self.state.queue.wake();
            delete_replaced(&self.state, self.place).await;
        }
        Ok(uploaded)
    }
}

/// Deletes the uploads that this one replaces. If that fails, they go when the lecture completes.
async fn delete_replaced(state: &ApiState, place: Place) {
    let listed = state.environment.storage.list(&keys::audio_temp_prefix(place.lecture_id)).await;
    let Ok(listed) = listed else { return };
    for stored in listed.into_iter().filter(|stored| !stored.is_staged() && stored.key != place.key()) {
        if keys::parse(&stored.key).is_some_and(|key| key.class == Class::Upload) {
            upload::delete_unused(state, &stored.key).await;
        }
    }
}
