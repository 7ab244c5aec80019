//! Answers that both ways of signing in share.

use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use crate::api::auth::cookies::set_cookie;
use crate::ui::errors::alert;
use crate::ui::layout;
use crate::ui::session::SIGN_IN;

/// The form for a token. It leads to the page `next`.
pub(super) fn form(error: Option<&str>, next: &str) -> Html<String> {
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

/// Stores the cookie and leads to a page. `headers` are the request's.
pub(super) fn signed_in(headers: &HeaderMap, value: &str, next: &str) -> Response {
    ([(header::SET_COOKIE, set_cookie(headers, value))], Redirect::to(next)).into_response()
}
