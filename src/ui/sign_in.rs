//! Signing in and out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use maud::{Markup, html};

use super::errors::alert;
use super::form::FormFields;
use super::layout;
use super::live::Hub;
use super::session::SIGN_IN;
use crate::api::auth::same_origin::is_same_origin;
use crate::api::auth::sessions::{self, Grant, SessionId, clear_cookie, set_cookie};
use crate::api::auth::sign_in_codes;
use crate::api::problem::Problem;
use crate::api::server::Peer;
use crate::api::state::ApiState;

/// Failed sign-ins per minute and address of a client. A reverse proxy counts as one client.
const FAILURES_PER_MINUTE: u32 = 20;

/// Failures are counted for this long.
const WINDOW: Duration = Duration::from_secs(60);

/// Failed sign-ins by address, each with the start of its window. So tokens cannot be guessed.
#[derive(Debug, Clone, Default)]
struct Failures(Arc<Mutex<HashMap<IpAddr, (Instant, u32)>>>);

impl Failures {
    /// Refuses a client with too many failures.
    fn admit(&self, peer: IpAddr) -> Result<(), Problem> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_blocked = failures
            .get(&peer)
            .is_some_and(|(start, count)| *count >= FAILURES_PER_MINUTE && start.elapsed() < WINDOW);
        if !is_blocked {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many failed sign-ins. Try again in a minute.",
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from_static("60")))
    }

    fn record(&self, peer: IpAddr) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (start, _)| start.elapsed() < WINDOW);
        failures.entry(peer).or_insert((Instant::now(), 0)).1 += 1;
    }
}

/// The client's address. Without one, all clients count as one.
fn address_of(peer: Option<Extension<Peer>>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(Peer(address))| address)
}

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route(SIGN_IN, get(page).post(with_token))
        .route("/ui/sign-in/{code}", get(with_code))
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

fn form(error: Option<&str>, next: &str) -> Html<String> {
    let content: Markup = html! {
        h1 { "Sign in" }
        @if let Some(error) = error { (alert(error)) }
        form.form method="post" action=(SIGN_IN) {
            input type="hidden" name="next" value=(next);
            div.field {
                label for="token" { "Token" }
                input #token name="token" type="password" required autofocus autocomplete="off" spellcheck="false"
                    aria-describedby="token-note" aria-invalid=[error.map(|_| "true")];
                p #token-note.hint {
                    "Paste the token that " code { "bedel dev" } " printed, or one of " code { "bedel token create" } "."
                }
            }
            button.button.main-action { "Sign in" }
        }
    };
    Html(layout::alone("Sign in", None, content).into_string())
}

async fn with_token(
    State(state): State<ApiState>,
    Extension(failures): Extension<Failures>,
    peer: Option<Extension<Peer>>,
    request: Request,
) -> Result<Response, Problem> {
    if !is_same_origin(request.method(), request.headers()) {
        return Err(Problem::cross_site());
    }
    let peer = address_of(peer);
    failures.admit(peer)?;
    let is_secure = is_https(request.headers());
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
    Ok(signed_in(&value, is_secure, &next))
}

async fn with_code(
    State(state): State<ApiState>,
    Extension(failures): Extension<Failures>,
    peer: Option<Extension<Peer>>,
    method: Method,
    headers: HeaderMap,
    Path(code): Path<String>,
) -> Result<Response, Problem> {
    if method != Method::GET {
        // Programs that check a link must not use it up.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let peer = address_of(peer);
    failures.admit(peer)?;
    let mut tx = state.begin().await?;
    let grant: Option<Grant> = sign_in_codes::redeem(&mut tx, &code).await?;
    let Some(grant) = grant else {
        failures.record(peer);
        let error = "This link was used or has expired. Paste a token instead, or start bedel dev again for a new link.";
        return Ok((StatusCode::UNAUTHORIZED, form(Some(error), "/ui")).into_response());
    };
    let value = sessions::begin(&mut tx, &grant).await?;
    tx.commit().await?;
    Ok(signed_in(&value, is_https(&headers), "/ui"))
}

fn signed_in(value: &str, is_secure: bool, next: &str) -> Response {
    let cookie =
        HeaderValue::from_str(&set_cookie(value, is_secure)).expect("a cookie of ours is visible ASCII");
    ([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()
}

/// True behind a proxy that received the request over TLS. A client that claims it only gets a cookie that its browser
/// does not send back over HTTP.
fn is_https(headers: &HeaderMap) -> bool {
    let name = HeaderName::from_static("x-forwarded-proto");
    headers.get(name).is_some_and(|scheme| scheme.as_bytes().eq_ignore_ascii_case(b"https"))
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
    // By the cookie alone: a read-only user may sign out too.
    if let Some(id) = SessionId::of(&headers) {
        sessions::end(&mut *state.acquire().await?, id).await?;
        hub.end_session(id);
    }
    let cookie = HeaderValue::from_str(&clear_cookie()).expect("a cookie of ours is visible ASCII");
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(SIGN_IN)).into_response())
}
