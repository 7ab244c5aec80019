//! The description of the API (OpenAPI 3.1), made from what stands beside each handler, and a page to try it.
//!
//! A handler names its success and the errors that are its own. The errors that many share are added here, by what the
//! operation is: one that reads a body can be sent a bad one, one with an id can be sent a wrong one.

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi, openapi};

use super::observe::ProblemBody;
use super::state::ApiState;

/// Operations with this tag need no credential.
pub(super) const OPEN: &str = "health";

/// The name of the one way to sign in.
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bedel",
        description = "Brings lecture recordings in: from a Panopto link, or from its sound, to a transcript. It keeps users' \
                       PDF documents and the course catalogue too. Every error is an RFC 9457 problem."
    ),
    tags(
        (name = "lectures", description = "Hand in, follow, read"),
        (name = "documents", description = "PDF files, each of one user"),
        (name = "courses", description = "The catalogue and what users chose of it"),
        (name = "jobs", description = "What works for a lecture, and for all"),
        (name = "operation", description = "Queues, workers and schedules; for admins"),
        (name = "health", description = "For those who run it; no credential")
    ),
    components(schemas(ProblemBody))
)]
struct Description;

/// What the routes' own descriptions are added to.
pub(super) fn empty() -> openapi::OpenApi {
    Description::openapi()
}

/// Adds what operations share.
pub(super) fn finish(mut api: openapi::OpenApi) -> openapi::OpenApi {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API token, or a JWT of the configured issuer."))
        .build();
    let components = api.components.get_or_insert_default();
    components.security_schemes.insert(BEARER.to_owned(), RefOr::T(SecurityScheme::Http(scheme)));
    for item in api.paths.paths.values_mut() {
        for operation in operations(item) {
            complete(operation);
        }
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch].into_iter().flatten()
}

fn complete(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    let open = tag == OPEN;
    // Handlers are named within their file, operations within the whole description.
    operation.operation_id = operation.operation_id.take().map(|handler| format!("{tag}_{handler}"));
    let parameters = || operation.parameters.iter().flatten();
    let is_in = |place: &ParameterIn| {
        parameters().any(|parameter| matches!(parameter, RefOr::T(known) if known.parameter_in == *place))
    };
    let (has_id, has_query) = (is_in(&ParameterIn::Path), is_in(&ParameterIn::Query));
    let has_body = operation.request_body.is_some();
    let mut shared = vec![500];
    if !open {
        operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, [])]);
        shared.extend([401, 403, 503]);
    }
    if has_id {
        shared.push(404);
    }
    if has_body || has_query {
        shared.extend([400, 422]);
    }
    if has_body {
        shared.extend([413, 415]);
    }
    let responses = &mut operation.responses.responses;
    for status in shared {
        let known = responses.entry(status.to_string());
        known.or_insert_with(|| RefOr::T(ResponseBuilder::new().description(meaning(status)).build()));
    }
    for (status, response) in responses.iter_mut() {
        let is_problem = status.starts_with(['4', '5']);
        if let RefOr::T(response) = response
            && is_problem
            && response.content.is_empty()
        {
            let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            response.content.insert("application/problem+json".to_owned(), RefOr::T(problem));
        }
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "`bad_request`: the body or the query cannot be read",
        401 => "`unauthenticated`: no credential, or one that is not known; WWW-Authenticate says more",
        403 => "`forbidden`: the token was not made for this, or names no user",
        404 => "`not_found`: there is nothing with this id, or it is somebody else's",
        413 => "`too_large`: the detail names the limit",
        415 => "`unsupported_media`: another kind of body is wanted",
        422 => "`invalid`: `errors` names each field",
        503 => "`unavailable`: the database or the storage is away for a moment; see Retry-After",
        _ => "`internal`: a fault of ours; report the request id",
    }
}

/// The description, and the page that reads it.
pub(super) fn routes(api: &openapi::OpenApi) -> Router<ApiState> {
    let text = api.to_json().expect("a description is plain data");
    Router::new()
        .route("/api/openapi.json", get(description))
        .route("/docs", get(page))
        .route("/docs/page.js", get(script))
        .layer(Extension(Text(text.into())))
}

#[derive(Clone)]
struct Text(Bytes);

async fn description(Extension(Text(text)): Extension<Text>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

/// Nothing but its own script, and nobody else's frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; form-action 'none'; \
     frame-ancestors 'none'; base-uri 'none'",
);

async fn page() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("docs/page.html"))).into_response()
}

async fn script() -> Response {
    let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], include_str!("docs/page.js")).into_response()
}
