//! Request bodies: a JSON object of limited size, read field by field, and the id in a path.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use chrono::{DateTime, Datelike, Utc};
use futures::StreamExt;
use serde_json::{Map, Value};
use tokio::time::timeout;
use uuid::Uuid;

use super::problem::{FieldError, Problem};
use super::state::ApiState;

/// Largest body accepted, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Longest time for a body to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes read and dropped after a refusal: a client that is still sending cannot read the answer.
const MAX_DRAINED_BYTES: usize = 1024 * 1024;

/// The fields of a JSON object. Unknown fields are ignored. Errors are collected, so that one answer names
/// all of them.
pub(crate) struct Fields {
    map: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Reads the body as a JSON object.
    pub(crate) async fn read(request: Request) -> Result<Self, Problem> {
        Self::read_up_to(request, MAX_BODY_BYTES).await
    }

    /// Like [`Fields::read`], with another limit in bytes.
    pub(crate) async fn read_up_to(request: Request, max: usize) -> Result<Self, Problem> {
        let declared_json = is_json(request.headers());
        let bytes = read(request.into_body(), max).await?;
        if !declared_json {
            return Err(Problem::unsupported_media(
                "The body must be JSON, with `Content-Type: application/json`.",
            ));
        }
        Self::parse(&bytes)
    }

    /// Like [`Fields::read`]; an empty body counts as an empty object.
    pub(crate) async fn read_optional(request: Request) -> Result<Self, Problem> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(Self::of(Map::new()));
        }
        Self::read(request).await
    }

    /// Parses a JSON object.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self::of(map)),
            Ok(_) => Err(Problem::bad_request("The body must be a JSON object.")),
            Err(error) => Err(Problem::bad_request(format!(
                "The body is not valid JSON: line {}, column {}.",
                error.line(),
                error.column()
            ))),
        }
    }

    /// The fields of a parsed object.
    pub(crate) fn of(map: Map<String, Value>) -> Self {
        Self { map, errors: Vec::new() }
    }

    /// A list of any values; empty if missing.
    pub(crate) fn list(&mut self, field: &'static str) -> Vec<Value> {
        match self.map.remove(field) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => self.refuse(field, "type", "this must be a list").unwrap_or_default(),
        }
    }

    /// A text; null counts as missing.
    pub(crate) fn text(&mut self, field: &'static str) -> Option<String> {
        match self.map.remove(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(_) => self.refuse(field, "type", "this must be a text"),
        }
    }

    /// A required, non-empty text.
    pub(crate) fn required_text(&mut self, field: &'static str) -> Option<String> {
        let known = self.errors.len();
        match self.text(field) {
            Some(text) if !text.trim().is_empty() => Some(text),
            _ if self.errors.len() > known => None,
            _ => self.refuse(field, "missing", "this field is required"),
        }
    }

    /// A required UUID.
    pub(crate) fn required_uuid(&mut self, field: &'static str) -> Option<Uuid> {
        let text = self.required_text(field)?;
        match text.trim().parse() {
            Ok(uuid) => Some(uuid),
            Err(_) => self.refuse(field, "uuid", "this must be a UUID"),
        }
    }

    /// A list of texts; empty if missing.
    pub(crate) fn texts(&mut self, field: &'static str) -> Vec<String> {
        self.optional_texts(field).unwrap_or_default()
    }

    /// A list of texts; null counts as missing.
    pub(crate) fn optional_texts(&mut self, field: &'static str) -> Option<Vec<String>> {
        let value = self.map.remove(field).filter(|value| !value.is_null())?;
        serde_json::from_value(value)
            .ok()
            .or_else(|| self.refuse(field, "type", "this must be a list of texts"))
    }

    /// A boolean; false if missing.
    pub(crate) fn flag(&mut self, field: &'static str) -> bool {
        match self.map.remove(field) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => self.refuse(field, "type", "this must be true or false").unwrap_or_default(),
        }
    }

    /// A boolean; null counts as missing.
    pub(super) fn optional_flag(&mut self, field: &'static str) -> Option<bool> {
        let value = self.map.remove(field).filter(|value| !value.is_null())?;
        value.as_bool().or_else(|| self.refuse(field, "type", "this must be true or false"))
    }

    /// An object; empty if missing.
    pub(crate) fn object(&mut self, field: &'static str) -> Map<String, Value> {
        match self.map.remove(field) {
            None | Some(Value::Null) => Map::new(),
            Some(object) if has_nul(&object) => {
                self.refuse(field, "nul", "a NUL character cannot be stored: remove it").unwrap_or_default()
            }
            Some(Value::Object(map)) => map,
            Some(_) => self.refuse(field, "type", "this must be an object").unwrap_or_default(),
        }
    }

    /// A time with a zone (RFC 3339).
    pub(crate) fn time(&mut self, field: &'static str) -> Option<DateTime<Utc>> {
        let text = self.text(field)?;
        let known = text.parse::<DateTime<Utc>>().ok().filter(|time| (1970..=9999).contains(&time.year()));
        known.or_else(|| self.refuse(field, "time", "this must be a time such as 2026-11-26T12:00:00Z"))
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn whole_number(&mut self, field: &'static str, min: i16, max: i16) -> Option<i16> {
        let value = self.map.remove(field).filter(|value| !value.is_null())?;
        let number = value.as_i64().and_then(|number| i16::try_from(number).ok());
        number.filter(|number| (min..=max).contains(number)).or_else(|| {
            self.refuse(field, "range", format!("this must be a whole number from {min} to {max}"))
        })
    }

    /// Refuses a text that is longer than `max` characters or holds a NUL.
    pub(crate) fn fits(&mut self, field: &'static str, text: &str, max: usize) {
        if text.contains('\0') {
            // PostgreSQL cannot store NUL characters.
            self.refuse::<()>(field, "nul", "a NUL character cannot be stored: remove it");
        } else if text.chars().nth(max).is_some() {
            self.refuse::<()>(field, "too-long", format!("this is longer than {max} characters: shorten it"));
        }
    }

    /// Records an error of a field.
    pub(crate) fn refuse<T>(
        &mut self,
        field: &'static str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Option<T> {
        self.errors.push(FieldError { field, code, message: message.into() });
        None
    }

    /// 422 with all errors, if there are any.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.refused()) }
    }

    /// 422 with all errors.
    pub(crate) fn refused(self) -> Problem {
        Problem::invalid(self.errors)
    }
}

/// True if a text inside holds a NUL.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(map) => map.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn read(body: Body, max: usize) -> Result<Vec<u8>, Problem> {
    let mut stream = body.into_data_stream();
    match timeout(BODY_TIMEOUT, collect(&mut stream, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(problem)) => {
            if problem.status == StatusCode::PAYLOAD_TOO_LARGE {
                // The answer is the same however the client behaves now.
                let _ = timeout(Duration::from_secs(2), drain(&mut stream)).await;
            }
            Err(problem)
        }
        Err(_) => Err(Problem::bad_request("The body arrived too slowly.")),
    }
}

async fn collect(stream: &mut BodyDataStream, max: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("The body ended early."))?;
        if bytes.len() + chunk.len() > max {
            return Err(Problem::too_large(format!("The body is larger than {} KiB.", max / 1024)));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn drain(stream: &mut BodyDataStream) {
    let mut dropped = 0;
    while dropped < MAX_DRAINED_BYTES
        && let Some(Ok(chunk)) = stream.next().await
    {
        dropped += chunk.len();
    }
}

/// The `{id}` of a path. Anything but a UUID is 404, like an unknown id.
pub(crate) struct Id(pub(crate) Uuid);

impl FromRequestParts<ApiState> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        match Path::<Uuid>::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Problem::not_found("There is nothing with this id.")),
        }
    }
}
