//! Errors as the caller sees them: RFC 9457 problem details.
//!
//! `detail` is always one string for a person, `code` a stable word for a program. A problem is put together here and
//! written out by [`super::observe`], which knows the request's id.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bedel_jobs::lecture::submission::{InvalidField, SubmitError};
use bedel_storage::StorageError;
use serde::Serialize;

/// Seconds after which a caller may ask again when the database or the storage was away.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// One field that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct FieldError {
    /// The field's name.
    pub(super) field: &'static str,
    /// A stable word for what is wrong.
    pub(super) code: &'static str,
    /// The same for a person, with the remedy.
    pub(super) message: String,
}

impl From<InvalidField> for FieldError {
    fn from(error: InvalidField) -> Self {
        Self { field: error.field, code: error.code, message: error.message }
    }
}

/// An error on its way to the caller.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) detail: Cow<'static, str>,
    pub(super) errors: Vec<FieldError>,
    /// Boxed, so that every result that might hold a problem stays small.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), header: None }
    }

    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// `challenge` says why, in the words of RFC 6750.
    pub(super) fn unauthenticated(detail: &'static str, challenge: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 401 that does not say what is wrong with the credential.
    pub(super) fn unknown_credential() -> Self {
        Self::unauthenticated(
            "This token is not known here, or not valid any more. Sign in again.",
            r#"Bearer realm="bedel", error="invalid_token""#,
        )
    }

    pub(super) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    pub(super) fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(super) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.message.clone(),
            many => many
                .iter()
                .map(|error| format!("{}: {}", error.field, error.message))
                .collect::<Vec<_>>()
                .join("; "),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    pub(super) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// The storage's trouble, which passes.
    pub(super) fn storage(error: &StorageError) -> Self {
        tracing::error!(%error, "the storage refused");
        Self::unavailable("The storage cannot be reached at the moment. Try again in a few seconds.")
    }

    pub(super) fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub(super) fn unsupported_media(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media", detail)
    }

    /// 422 for one field.
    pub(super) fn invalid_field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field, code, message: message.into() }])
    }

    pub(super) fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }

    /// Says nothing of its cause, which the caller has logged.
    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side. If it stays, report the request id.",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some((name, value)) = self.header.as_deref() {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The database's trouble: what passes by itself is 503, anything else is a fault of ours.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if bedel_queue::is_passing(&error) || matches!(error, sqlx::Error::PoolClosed) {
            tracing::warn!(%error, "the database is away or in the way");
            Self::unavailable("The database cannot be reached at the moment. Try again in a few seconds.")
        } else {
            tracing::error!(%error, "a statement was refused");
            Self::internal()
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Invalid(errors) => Self::invalid(errors.into_iter().map(FieldError::from).collect()),
            SubmitError::Database(error) => error.into(),
        }
    }
}
