//! The one-time link that `bedel dev` prints. Opening it shows a button, and only the button uses it up: previews,
//! scanners and browsers that prefetch open links too.

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maud::html;

use super::answers::{form, signed_in};
use super::failures::{Failures, address_of};
use crate::api::auth::same_origin::is_same_origin;
use crate::api::auth::{sessions, sign_in_codes};
use crate::api::problem::Problem;
use crate::api::server::Peer;
use crate::api::state::ApiState;
use crate::ui::layout;

/// Keeps the code out of every `Referer`. With `no-referrer` browsers would send `Origin: null` with the form, which
/// is refused where they send no Fetch Metadata (plain HTTP).
const ORIGIN_ALONE: HeaderValue = HeaderValue::from_static("strict-origin");

/// The code in the address. An address that is not UTF-8 has none.
type Code = Result<Path<String>, PathRejection>;

/// Shows the button. Changes nothing, so a link may be opened any number of times.
pub(super) async fn show(
    State(state): State<ApiState>,
    Extension(failures): Extension<Failures>,
    peer: Option<Extension<Peer>>,
    code: Code,
) -> Result<Response, Problem> {
    let (peer, code) = (address_of(peer), text_of(code));
    failures.admit(peer)?;
    if !sign_in_codes::is_valid(&mut *state.acquire().await?, &code).await? {
        failures.record(peer);
        return Ok(refusal());
    }
    let content = html! {
        h1 { "Sign in" }
        p { "This link signs one browser in, once. It is used up by the button, not by opening it." }
        form.form method="post" action={ "/ui/sign-in/" (code) } {
            button.button.main-action autofocus { "Sign in" }
        }
    };
    let page = Html(layout::alone("Sign in", None, content).into_string());
    Ok(([(header::REFERRER_POLICY, ORIGIN_ALONE)], page).into_response())
}

/// Uses the code up and signs in.
pub(super) async fn redeem(
    State(state): State<ApiState>,
    Extension(failures): Extension<Failures>,
    peer: Option<Extension<Peer>>,
    method: Method,
    headers: HeaderMap,
    code: Code,
) -> Result<Response, Problem> {
    if !is_same_origin(&method, &headers) {
        return Err(Problem::cross_site());
    }
    let (peer, code) = (address_of(peer), text_of(code));
    failures.admit(peer)?;
    let mut tx = state.begin().await?;
    let Some(grant) = sign_in_codes::redeem(&mut tx, &code).await? else {
        failures.record(peer);
        return Ok(refusal());
    };
    let value = sessions::begin(&mut tx, &grant).await?;
    tx.commit().await?;
    Ok(signed_in(&headers, &value, "/ui"))
}

fn text_of(code: Code) -> String {
    code.map(|Path(code)| code).unwrap_or_default()
}

/// The same for an unknown, a used and an expired code.
fn refusal() -> Response {
    let error =
        "This link was used or has expired. Paste a token instead, or start bedel dev again for a new link.";
    let page = form(Some(error), "/ui");
    (StatusCode::UNAUTHORIZED, [(header::REFERRER_POLICY, ORIGIN_ALONE)], page).into_response()
}
