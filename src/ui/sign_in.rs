//! Signing in and out.

mod answers;
mod failures;
mod link;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::form::FormFields;
use super::live::Hub;
use super::session::SIGN_IN;
use crate::api::auth::cookies::clear_cookies;
use crate::api::auth::same_origin::is_same_origin;
use crate::api::auth::sessions::{self, SessionId};
use crate::api::problem::Problem;
use crate::api::server::Peer;
use crate::api::state::ApiState;
use answers::{form, signed_in};
use failures::{Failures, address_of};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route(SIGN_IN, get(page).post(with_token))
        .route("/ui/sign-in/{code}", get(link::show).post(link::redeem))
        .route("/ui/sign-out", post(sign_out))
        .layer(Extension(Failures::default()))
}

#[derive(serde::Deserialize)]
struct Target {
    next: Option<String>,
}

/// A page of ours: anything else could lead to another site.
fn checked(next: Option<&str>) -> &str {
    next.filter(|next| {
        next.starts_with("/ui/") && !next.contains(['\\', '\r', '\n']) && !next.starts_with(SIGN_IN)
    })
    .unwrap_or("/ui")
}

async fn page(query: Query<Target>) -> Html<String> {
    form(None, checked(query.next.as_deref()))
}

async fn with_token(
    State(state): State<ApiState>,
    Extension(failures): Extension<Failures>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    if !is_same_origin(request.method(), &headers) {
        return Err(Problem::cross_site());
    }
    let peer = address_of(peer);
    failures.admit(peer)?;
    let fields = FormFields::read(request).await?;
    let next = checked(fields.filled("next").as_deref()).to_owned();
    let token = fields.text("token").trim();
    let grant = match state.authenticator.grant(&state.pool, token).await {
        Ok(grant) => grant,
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => {
            failures.record(peer);
            let error = "This token is unknown or no longer valid. Check that all of it was copied.";
            return Ok((StatusCode::UNAUTHORIZED, form(Some(error), &next)).into_response());
        }
        Err(problem) => return Err(problem),
    };
    let mut tx = state.begin().await?;
    let value = sessions::begin(&mut tx, &grant).await?;
    tx.commit().await?;
    Ok(signed_in(&headers, &value, &next))
}

async fn sign_out(
    State(state): State<ApiState>,
    Extension(hub): Extension<Hub>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !is_same_origin(&method, &headers) {
        return Err(Problem::cross_site());
    }
    // By the cookies alone: a read-only user may sign out too.
    for id in SessionId::all(&headers) {
        sessions::end(&mut *state.acquire().await?, id).await?;
        hub.end_session(id);
    }
    let cookies = clear_cookies().map(|cookie| (header::SET_COOKIE, cookie));
    Ok((AppendHeaders(cookies), Redirect::to(SIGN_IN)).into_response())
}
