//! Completes every page: security headers, and problems as HTML.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use tokio::time::timeout;

use super::icons::{Icon, icon};
use super::layout;
use super::session::is_fragment;
use crate::api::problem::Problem;

/// Only this site's files: no inline script or style, no foreign request, no frame around a page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// Longest time until a page begins. Statements end before it, except where the connection to the database hangs.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Adds the headers of a page. A problem becomes a page, or a notice for a request of htmx.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let (is_fragment, is_safe) = (is_fragment(request.headers()), request.method().is_safe());
    let mut response = timeout(TIMEOUT, next.run(request)).await.unwrap_or_else(|_| {
        tracing::warn!("a page took more than {} s", TIMEOUT.as_secs());
        Problem::unavailable("The server is too busy, or its database hangs.").into_response()
    });
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let status = problem.status;
        let mut page = if is_fragment {
            notice_of(&problem)
        } else {
            Html(page_of(&problem, is_safe).into_string()).into_response()
        };
        *page.status_mut() = status;
        keep(&mut page, response.headers(), &header::RETRY_AFTER);
        response = page;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn keep(page: &mut Response, from: &HeaderMap, name: &HeaderName) {
    if let Some(value) = from.get(name) {
        page.headers_mut().insert(name, value.clone());
    }
}

/// A problem in the notice of the open page.
fn notice_of(problem: &Problem) -> Response {
    let headers = [("hx-retarget", "#notice"), ("hx-reswap", "innerHTML")];
    (headers, Html(alert(&problem.detail).into_string())).into_response()
}

/// An error as a box.
pub(super) fn alert(text: &str) -> Markup {
    html! { div.alert role="alert" { (icon(Icon::Alert)) p { (text) } } }
}

/// Reloading a page that changes something would not repeat the change, so only others reload themselves.
fn page_of(problem: &Problem, is_safe: bool) -> Markup {
    let is_away = problem.status == StatusCode::SERVICE_UNAVAILABLE;
    let title = match problem.status {
        StatusCode::NOT_FOUND => "Page not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::SERVICE_UNAVAILABLE => "One moment",
        status if status.is_server_error() => "Something went wrong",
        _ => "This did not work",
    };
    layout::alone(
        title,
        (is_away && is_safe).then_some(5),
        html! {
            h1 { (title) }
            p { (problem.detail) }
            @if is_away && is_safe { p.soft role="status" { "This page tries again every 5 seconds." } }
            @if is_away && !is_safe { p.soft { "Go back, check whether the change was made, and repeat it if not." } }
            div.actions {
                a.button href="/ui" { "Go to my lectures" }
            }
        },
    )
}
