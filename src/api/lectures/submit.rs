//! Submits lectures by their links: one, or a batch.

use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::submission::{self, Submission, Submitted};
use bedel_jobs::options::TranscriptionOptions;
use bedel_speech::engines::EngineKind;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::auth::Caller;
use super::super::body::Fields;
use super::super::observe::ProblemBody;
use super::super::option_fields;
use super::super::problem::Problem;
use super::super::state::ApiState;

/// Most lectures of a batch.
const MAX_BATCH: usize = 500;

/// Largest batch, in bytes.
const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;

/// Cost of a batch in submissions.
const BATCH_COST: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

/// A lecture to submit.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
pub(super) struct SubmissionBody {
    /// The course; an unknown one is accepted.
    course_id: Uuid,
    /// Viewer link of the recording.
    #[schema(example = "\
            https://rochester.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id=26b3ae9e-4a48-4dcc-96ba-0befba08a0fb")]
    panopto_url: String,
    /// Media URL, if the client knows it.
    stream_url: Option<String>,
    /// Id of the recording. Ignored if the link names one.
    session_id: Option<String>,
    #[schema(max_length = 500)]
    title: Option<String>,
    /// The spoken language, as a code or an English name.
    #[schema(example = "en")]
    language: Option<String>,
    /// Words to expect, the most important first, each at most 64 characters long. The course's code and title and the
    /// lecture's title join them.
    #[schema(max_items = 200)]
    vocabulary: Option<Vec<String>>,
    engine: Option<EngineKind>,
    /// The model, by the engine's name for it.
    #[schema(max_length = 100)]
    model: Option<String>,
    /// A URL to tell when the lecture ends: a public https address, or one that the operators allow.
    #[schema(max_length = 4096)]
    callback_url: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SubmittedLecture {
    lecture_id: Uuid,
    status: LectureStatus,
    created: bool,
    /// The live job; null for a completed lecture.
    job_id: Option<Uuid>,
}

impl From<Submitted> for SubmittedLecture {
    fn from(submitted: Submitted) -> Self {
        let Submitted { lecture_id, status, created, job_id, .. } = submitted;
        Self { lecture_id, status, created, job_id }
    }
}

/// Submit a lecture
///
/// Links you to it. A failed lecture starts again; one in progress continues.
#[utoipa::path(
    post, path = "/api/lectures/download", tag = "lectures", request_body = SubmissionBody,
    responses(
        (status = 201, description = "A new lecture", body = SubmittedLecture),
        (status = 200, description = "A known lecture", body = SubmittedLecture),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
pub(super) async fn submit(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    state.limits.admit(caller.user_id, NonZeroU32::MIN)?;
    let submission = read(Fields::read(request).await?)?;
    let submitted = accept(&state, caller, submission).await?;
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(SubmittedLecture::from(submitted))).into_response())
}

/// Lectures to submit.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the body is read field by field")]
pub(super) struct BatchBody {
    #[schema(min_items = 1, max_items = 500)]
    lectures: Vec<SubmissionBody>,
    /// For each lecture that sets none itself, like the four below.
    language: Option<String>,
    #[schema(max_items = 200)]
    vocabulary: Option<Vec<String>>,
    engine: Option<EngineKind>,
    #[schema(max_length = 100)]
    model: Option<String>,
    #[schema(max_length = 4096)]
    callback_url: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// One result per lecture, in the order of the request.
    results: Vec<BatchItem>,
}

/// Result for one lecture of a batch: accepted, or an `error`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum BatchItem {
    Accepted(SubmittedLecture),
    Refused { error: ProblemBody },
}

/// Submit a batch of lectures
///
/// Each lecture is accepted or refused on its own.
#[utoipa::path(
    post, path = "/api/lectures/batch", tag = "lectures", request_body = BatchBody,
    responses(
        (status = 200, description = "A result for each", body = BatchAnswer),
        (status = 429, description = "`rate_limited`: see Retry-After"),
    ),
)]
pub(super) async fn batch(
    State(state): State<ApiState>,
    caller: Caller,
    request: Request,
) -> Result<Json<BatchAnswer>, Problem> {
    state.limits.admit(caller.user_id, BATCH_COST)?;
    let mut fields = Fields::read_up_to(request, MAX_BATCH_BYTES).await?;
    let lectures = fields.list("lectures");
    if lectures.is_empty() || lectures.len() > MAX_BATCH {
        let message = format!("this must be a list of 1 to {MAX_BATCH} lectures");
        fields.refuse::<()>("lectures", "length", message);
    }
    let shared = option_fields::read(&mut fields);
    let shared = option_fields::check(&mut fields, shared);
    let callback_url = fields.text("callback_url");
    fields.finish()?;
    let mut results = Vec::with_capacity(lectures.len());
    for lecture in lectures {
        results.push(match item(&state, caller, lecture, &shared, callback_url.as_deref()).await {
            Ok(submitted) => BatchItem::Accepted(submitted.into()),
            // The other lectures would fail too. Those committed stay; sending the batch again finds them.
            Err(problem) if problem.status.is_server_error() => return Err(problem),
            Err(problem) => BatchItem::Refused { error: ProblemBody::new(&problem, None) },
        });
    }
    Ok(Json(BatchAnswer { results }))
}

async fn item(
    state: &ApiState,
    caller: Caller,
    lecture: Value,
    shared: &TranscriptionOptions,
    callback_url: Option<&str>,
) -> Result<Submitted, Problem> {
    let Value::Object(map) = lecture else {
        return Err(Problem::bad_request("Each lecture must be a JSON object."));
    };
    let mut submission = read(Fields::of(map))?;
    // An empty option is not set. Invalid ones are refused with the submission's other fields.
    submission.options = match submission.options.clone().checked() {
        Ok(options) => options.or(shared.clone()),
        Err(_) => submission.options,
    };
    submission.callback_url = submission.callback_url.or_else(|| callback_url.map(str::to_owned));
    accept(state, caller, submission).await
}

/// The submission in a body. Its options are unchecked.
pub(crate) fn read(mut fields: Fields) -> Result<Submission, Problem> {
    let submission = Submission {
        course_id: fields.required_uuid("course_id").unwrap_or_default(),
        panopto_url: fields.required_text("panopto_url").unwrap_or_default(),
        stream_url: fields.text("stream_url"),
        session_id: fields.text("session_id"),
        title: fields.text("title"),
        options: option_fields::read(&mut fields),
        callback_url: fields.text("callback_url"),
    };
    fields.finish()?;
    Ok(submission)
}

/// Accepts a submission and wakes the workers.
pub(crate) async fn accept(
    state: &ApiState,
    caller: Caller,
    submission: Submission,
) -> Result<Submitted, Problem> {
    let mut tx = state.begin().await?;
    let submitted =
        submission::submit(&mut tx, &state.environment.settings, caller.user_id, submission).await?;
    tx.commit().await?;
    if submitted.wake {
        state.queue.wake();
    }
    Ok(submitted)
}
