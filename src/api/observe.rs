//! Wraps every request: id, log line, caught panics, the body of a problem.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use serde::Serialize;
use tracing::{Instrument, error, info, info_span};
use uuid::Uuid;

use super::problem::{FieldError, Problem};

/// The header with the request's id. The server always chooses it: a client's could repeat.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs the request in a span with its id, logs one line without query and headers, and completes the answer.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    let method = request.method().clone();
    // The route's pattern, not the path: ids and client input stay out of the log.
    let path = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let span = info_span!("request", request_id = %id);
    async move {
        let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            // The panic hook has logged message and place.
            Err(_) => {
                error!("a handler panicked");
                Problem::internal().into_response()
            }
        };
        let path = path.as_ref().map_or("(no route)", MatchedPath::as_str);
        count(&method, path, response.status(), started.elapsed());
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        let status = response.status().as_u16();
        info!(%method, path, status, ms = format_args!("{milliseconds:.1}"), "{method} {path} {status}");
        finish(response, id)
    }
    .instrument(span)
    .await
}

/// Counts for `/metrics`. Labels are known routes and methods only: client input never becomes a label.
fn count(method: &Method, path: &str, status: StatusCode, took: Duration) {
    let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS];
    let method = if known.contains(method) { method.as_str().to_owned() } else { "other".to_owned() };
    let path = path.to_owned();
    let status = status.as_u16().to_string();
    metrics::counter!("bedel_http_requests_total", "method" => method.clone(), "route" => path.clone(), "status" => status)
        .increment(1);
    metrics::histogram!("bedel_http_request_seconds", "method" => method, "route" => path).record(took);
}

/// An error (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// Always `about:blank`; see `code`.
    r#type: &'static str,
    /// Name of the status.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// For people.
    detail: String,
    /// Stable word for programs.
    code: &'static str,
    /// For 422: the error of each field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// For 5xx: quote it in a report.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Uuid>,
}

impl ProblemBody {
    /// Only server errors carry the request's id.
    pub(super) fn new(problem: &Problem, request_id: Option<Uuid>) -> Self {
        Self {
            r#type: "about:blank",
            title: problem.status.canonical_reason().unwrap_or("Error"),
            status: problem.status.as_u16(),
            detail: problem.detail.clone().into_owned(),
            code: problem.code,
            errors: problem.errors.clone(),
            request_id: request_id.filter(|_| problem.status.is_server_error()),
        }
    }
}

fn finish(mut response: Response, id: Uuid) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = ProblemBody::new(&problem, Some(id));
        let body = serde_json::to_vec(&body).expect("a problem is plain data");
        *response.body_mut() = Body::from(body);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    let id = HeaderValue::from_str(&id.to_string()).expect("a UUID is visible ASCII");
    headers.insert(REQUEST_ID, id);
    // A shared cache must not keep one user's answer for another. The pages' assets are the same for all.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_bland_500_with_the_request_id() {
        let app = Router::new()
            .route("/", get(|| async { panic!("the secret cause") as () }))
            .layer(axum::middleware::from_fn(observe));
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "internal");
        assert_eq!(body["request_id"], id);
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}
