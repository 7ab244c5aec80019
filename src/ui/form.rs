//! Forms: the fields of a body, and fields with their errors.

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use tokio::time::timeout;

use super::icons::{Icon, icon};
use super::session::is_fragment;
use crate::api::problem::{FieldError, Problem};

/// Largest form, in bytes. A vocabulary of 200 terms takes about 40,000.
const MAX_BYTES: usize = 128 * 1024;

/// Longest time for a form to arrive.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The fields of a form. A repeated field keeps its last value.
#[derive(Debug, Default)]
pub(super) struct FormFields(HashMap<String, String>);

impl FormFields {
    /// Reads a body of the type `application/x-www-form-urlencoded`.
    pub(super) async fn read(request: Request) -> Result<Self, Problem> {
        let bytes = timeout(TIMEOUT, axum::body::to_bytes(request.into_body(), MAX_BYTES)).await;
        let Ok(Ok(bytes)) = bytes else {
            return Err(Problem::bad_request("The form is too large or arrived too slowly. Send it again."));
        };
        Ok(Self(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }

    /// Fields that were read elsewhere, such as in an address.
    pub(super) fn of(fields: HashMap<String, String>) -> Self {
        Self(fields)
    }

    /// A field's text; empty if it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A field's text without surrounding blanks, if there is any.
    pub(super) fn filled(&self, name: &str) -> Option<String> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

/// Leads to another page after a change.
pub(super) fn done(headers: &HeaderMap, target: &str) -> Response {
    if is_fragment(headers) {
        let target = HeaderValue::from_str(target).expect("an address of ours is visible ASCII");
        return (StatusCode::NO_CONTENT, [("hx-redirect", target)]).into_response();
    }
    Redirect::to(target).into_response()
}

/// Progress and error of an upload, filled by the script.
pub(super) fn upload_progress() -> Markup {
    html! {
        div data-progress hidden { progress max="100" value="0" aria-label="Upload" {} p.hint.num data-progress-text {} }
        div data-error role="alert" {}
    }
}

/// A form as it was sent, with what is wrong.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) fields: FormFields,
    pub(super) errors: Vec<FieldError>,
}

impl Sent {
    /// The error of a field.
    pub(super) fn error(&self, name: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == name).map(|error| error.message.as_str())
    }

    /// A label, a control and the field's error or hint. The control's id is `name`; its `aria-describedby` is
    /// `{name}-note`.
    pub(super) fn field(&self, name: &str, label: &str, hint: &str, control: &Markup) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                (control)
                div id={ (name) "-note" } {
                    @if let Some(error) = self.error(name) { p.error { (icon(Icon::Alert)) (error) } }
                    @if !hint.is_empty() { p.hint { (hint) } }
                }
            }
        }
    }

    /// A field of one line.
    pub(super) fn line(&self, name: &str, label: &str, hint: &str, kind: &str, is_required: bool) -> Markup {
        let invalid = self.error(name).map(|_| "true");
        self.field(
            name,
            label,
            hint,
            &html! {
                input id=(name) name=(name) type=(kind) value=(self.fields.text(name)) required[is_required]
                    aria-invalid=[invalid] aria-describedby={ (name) "-note" };
            },
        )
    }

    /// A choice with another id than its name, for a page with two forms.
    pub(super) fn choice_as(id: &str, name: &str, label: &str, options: &[(String, String)]) -> Markup {
        html! {
            div.field {
                label for=(id) { (label) }
                select id=(id) name=(name) { @for (value, text) in options { option value=(value) { (text) } } }
            }
        }
    }

    /// A choice. Each option has a value and a text.
    pub(super) fn choice(&self, name: &str, label: &str, hint: &str, options: &[(String, String)]) -> Markup {
        let chosen = self.fields.text(name);
        let invalid = self.error(name).map(|_| "true");
        self.field(name, label, hint, &html! {
            select id=(name) name=(name) aria-invalid=[invalid] aria-describedby={ (name) "-note" } {
                @for (value, text) in options { option value=(value) selected[value == chosen] { (text) } }
            }
        })
    }

    /// A field of many lines.
    pub(super) fn lines(&self, name: &str, label: &str, hint: &str) -> Markup {
        let invalid = self.error(name).map(|_| "true");
        self.field(
            name,
            label,
            hint,
            &html! {
                textarea id=(name) name=(name) aria-invalid=[invalid] aria-describedby={ (name) "-note" } {
                    (self.fields.text(name))
                }
            },
        )
    }
}
