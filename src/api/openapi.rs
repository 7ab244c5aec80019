//! The OpenAPI 3.1 description, built from each handler's attributes, and a page to try it.
//!
//! A handler lists its success and its own errors. Common errors are added here by the operation's shape: a
//! body can be invalid, an id can be unknown.

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

/// Name of the only security scheme.
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Bedel",
        description = "Turns lecture recordings into transcripts, from a Panopto link or from uploaded \
            audio. Also keeps users' PDF documents and the course catalogue. Every error is an RFC 9457 \
            problem."
    ),
    tags(
        (name = "lectures", description = "Submit, follow, read"),
        (name = "documents", description = "Users' PDF files"),
        (name = "courses", description = "The catalogue and users' selections"),
        (name = "webhooks", description = "Messages to other programs when a lecture ends"),
        (name = "jobs", description = "Jobs of lectures and of the whole installation"),
        (name = "operation", description = "Queues, workers and schedules; admins only"),
        (name = "health", description = "For operators; no credential")
    ),
    components(schemas(ProblemBody))
)]
struct Description;

/// The base to which routes add their descriptions.
pub(super) fn empty() -> openapi::OpenApi {
    Description::openapi()
}

/// Adds the common errors, the security scheme and unique operation ids.
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
    // Handler names are unique per file, operation ids in the whole description.
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
        400 => "`bad_request`: the body or the query is malformed",
        401 => "`unauthenticated`: no credential, or an unknown one; see WWW-Authenticate",
        403 => "`forbidden`: the token's scope is too small, or it names no user",
        404 => "`not_found`: the id is unknown, or belongs to another user",
        413 => "`too_large`: the detail names the limit",
        415 => "`unsupported_media`: the body has another type",
        422 => "`invalid`: `errors` names each field",
        503 => "`unavailable`: the database or the storage does not answer; see Retry-After",
        _ => "`internal`: a server error; report the request id",
    }
}

/// Serves the description and the page that reads it.
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

/// Only its own script, and no embedding.
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
