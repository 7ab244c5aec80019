//! Renders an operators' page once for all tabs that ask for it after a change.
//!
//! A change makes every tab ask for its part of a page at once. All admins see the same, so one answer serves all.

use std::time::Instant;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::hub::Hub;
use super::renders::{Kept, Rendered};
use crate::api::auth::same_origin::is_same_origin;
use crate::api::auth::sessions::SessionId;
use crate::api::problem::Problem;
use crate::ui::session::{Session, is_fragment};

/// Largest page in bytes, ten times what a page may weigh.
const MAX_BYTES: usize = 1 << 20;

const AWAY: &str = "The database does not answer.";

/// Answers an update of an open page of an admin with what another tab was answered, if nothing has changed since. The
/// session of an open tab is not read again: the poller checks it.
pub(crate) async fn for_all_tabs(
    Extension(hub): Extension<Hub>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(session) = follower(&hub, &request) else { return next.run(request).await };
    let address = request.uri().to_string();
    let Some(slot) = hub.renders().slot(&address) else { return next.run(request).await };
    let mut kept = slot.lock().await;
    let version = hub.version();
    match &*kept {
        Kept::Answer(rendered) if rendered.version == version && kept.is_young() => {
            return (rendered.headers.clone(), rendered.body.clone()).into_response();
        }
        // Those who waited for it would each wait as long again.
        Kept::Failure(_) if kept.is_young() => return Problem::unavailable(AWAY).into_response(),
        _ => {}
    }
    let at = Instant::now();
    request.extensions_mut().insert(session);
    let (parts, body) = next.run(request).await.into_parts();
    if parts.status != StatusCode::OK {
        *kept = if parts.status.is_server_error() { Kept::Failure(Instant::now()) } else { Kept::Nothing };
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, MAX_BYTES).await {
        Ok(body) => {
            *kept =
                Kept::Answer(Rendered { version, at, headers: parts.headers.clone(), body: body.clone() });
            Response::from_parts(parts, Body::from(body))
        }
        Err(error) => {
            tracing::error!(%address, %error, "a page is too large");
            Problem::internal().into_response()
        }
    }
}

/// The session that asks for an update of a page which it has open.
fn follower(hub: &Hub, request: &Request) -> Option<Session> {
    let (method, headers) = (request.method(), request.headers());
    let asks_for_update = method == Method::GET && is_fragment(headers) && is_same_origin(method, headers);
    SessionId::of(headers).filter(|_| asks_for_update).and_then(|id| hub.follower(id))
}
