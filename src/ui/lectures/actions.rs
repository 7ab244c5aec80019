//! Retry, cancel, transcribe again and remove: the API's handlers, with pages as answers.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::json;

use crate::api::body::Id;
use crate::api::lectures;
use crate::api::lectures::options;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::form::{FormFields, done};
use crate::ui::session::Session;

pub(super) async fn retry(
    state: State<ApiState>,
    session: Session,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Problem> {
    lectures::retry(state, session.caller, Id(id)).await?;
    Ok(done(&headers, &format!("/ui/lectures/{id}")))
}

pub(super) async fn cancel(
    state: State<ApiState>,
    session: Session,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Problem> {
    lectures::cancel(state, session.caller, Id(id)).await?;
    Ok(done(&headers, &format!("/ui/lectures/{id}")))
}

pub(super) async fn remove(
    state: State<ApiState>,
    session: Session,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Problem> {
    lectures::remove(state, session.caller, Id(id)).await?;
    Ok(done(&headers, "/ui/lectures"))
}

pub(super) async fn transcribe(
    state: State<ApiState>,
    session: Session,
    headers: HeaderMap,
    Id(id): Id,
    request: Request,
) -> Result<Response, Problem> {
    let fields = FormFields::read(request).await?;
    let body = json!({ "language": fields.filled("language"), "engine": fields.filled("engine") });
    let request = Request::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .expect("a request of ours is valid");
    options::transcribe(state, session.caller, Id(id), request).await?;
    Ok(done(&headers, &format!("/ui/lectures/{id}")))
}
