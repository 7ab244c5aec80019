//! The HTTP API: JSON over HTTP/1.1, errors as RFC 9457 problems.
//!
//! A handler reads the request, calls one function of `bedel_jobs` in one transaction, commits, wakes the
//! workers and answers. The rules about lectures live in `bedel_jobs`. Each handler's attributes describe it;
//! the whole description is served as OpenAPI.

mod audit;
pub(crate) mod auth;
pub(crate) mod body;
mod bulk;
pub(crate) mod connections;
mod cors;
mod course_defaults;
mod course_sync;
pub(crate) mod courses;
pub(crate) mod documents;
pub(crate) mod file;
mod file_name;
pub(crate) mod fleet;
mod head_timeout;
mod health;
pub(crate) mod job_filter;
pub(crate) mod jobs;
pub(crate) mod lectures;
pub(crate) mod limits;
mod metrics;
pub(crate) mod observe;
mod openapi;
pub(crate) mod operator_actions;
pub(crate) mod option_fields;
mod overview;
pub(crate) mod problem;
pub(crate) mod query;
mod repeat;
mod scrape_cache;
pub(crate) mod search;
pub(crate) mod server;
pub(crate) mod state;
mod upload;
pub(crate) mod webhooks;

use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use auth::{
    ASK_AGAIN_AFTER, Authenticator, Jwks, Jwt, JwtAlgorithm, JwtKeys, Token, Tokens, TokensError,
};
pub use auth::{api_tokens, sign_in_codes};
pub use cors::Origins;
pub use limits::Limits;
pub use state::ApiState;

use problem::Problem;

/// All routes. Unknown paths and methods get problems too.
pub fn router(state: ApiState) -> Router {
    router_until(state, CancellationToken::new())
}

/// Like [`router`]; handlers that wait for a job stop waiting when `stop` fires.
fn router_until(state: ApiState, stop: CancellationToken) -> Router {
    let (router, api) = described().split_for_parts();
    router
        .merge(openapi::routes(&openapi::finish(api)))
        .fallback(async || Problem::not_found("Nothing is at this address."))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(state.origins.layer())
        // Without CORS: no other origin reads a page.
        .merge(crate::ui::routes(&state, &stop))
        .layer(Extension(stop))
        .layer(axum::middleware::from_fn(repeat::repeat))
        .layer(axum::middleware::from_fn(observe::observe))
        .with_state(state)
}

/// The handlers with their descriptions.
fn described() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::empty())
        .merge(lectures::routes())
        .merge(search::routes())
        .merge(documents::routes())
        .merge(courses::routes())
        .merge(course_defaults::routes())
        .merge(course_sync::routes())
        .merge(webhooks::routes())
        .merge(jobs::routes())
        .merge(bulk::routes())
        .merge(overview::routes())
        .merge(audit::routes())
        .merge(fleet::routes())
        .merge(health::routes())
        .merge(metrics::routes())
}

/// The OpenAPI 3.1 description of the API, as indented JSON.
#[must_use]
pub fn description() -> String {
    let api = openapi::finish(described().into_openapi());
    api.to_pretty_json().expect("a description is plain data") + "\n"
}

/// Serves until `stop` fires. Running requests then get ten seconds to end.
pub async fn serve(listener: TcpListener, state: ApiState, stop: CancellationToken) {
    tokio::spawn(crate::metrics::upkeep(stop.clone()));
    server::run(listener, router_until(state, stop.clone()), stop).await;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{description, openapi};

    #[test]
    fn operations_have_names_of_their_own_and_all_errors_are_problems() {
        let api: Value = serde_json::from_str(&description()).unwrap();
        assert_eq!(api["openapi"], "3.1.0");
        let items = api["paths"].as_object().unwrap().values();
        let operations: Vec<&Value> = items.flat_map(|item| item.as_object().unwrap().values()).collect();
        let names: BTreeSet<&str> =
            operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), operations.len(), "{names:?}");
        for operation in operations {
            let open = operation["tags"][0] == openapi::OPEN;
            assert_eq!(operation.get("security").is_none(), open, "{operation}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_error = status.starts_with(['4', '5']);
                let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(problem == "#/components/schemas/Problem", is_error, "{operation}");
                assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{operation}");
            }
        }
    }
}
