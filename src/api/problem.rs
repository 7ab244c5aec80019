//! Errors as clients see them: RFC 9457 problem details.
//!
//! `detail` is for people, `code` is a stable word for programs. [`super::observe`] writes the body, since it
//! knows the request's id.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bedel_jobs::invalid_field::InvalidField;
use bedel_jobs::lecture::submission::SubmitError;
use bedel_storage::StorageError;
use serde::Serialize;

use super::repeat;

/// `Retry-After` while the database or the storage is unavailable.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// An invalid field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldError {
    /// The field's name.
    pub(crate) field: &'static str,
    /// Stable word for the error.
    pub(crate) code: &'static str,
    /// The error and its remedy, for people.
    pub(crate) message: String,
}

impl From<InvalidField> for FieldError {
    fn from(error: InvalidField) -> Self {
        Self { field: error.field, code: error.code, message: error.message }
    }
}

/// An error to answer.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: Cow<'static, str>,
    pub(crate) errors: Vec<FieldError>,
    /// Boxed to keep every `Result` with a problem small.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), header: None }
    }

    pub(crate) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// `challenge` gives the reason, as RFC 6750 defines.
    pub(crate) fn unauthenticated(detail: &'static str, challenge: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 401 without details about the credential.
    pub(crate) fn unknown_credential() -> Self {
        Self::unauthenticated(
            "This token is unknown or no longer valid. Sign in again.",
            r#"Bearer realm="bedel", error="invalid_token""#,
        )
    }

    pub(crate) fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 403 for a request that another site's page sent with our cookie.
    pub(crate) fn cross_site() -> Self {
        Self::forbidden(
            "This request did not come from a page of this address, so it is refused. Open the page again and repeat it. \
             A reverse proxy that replaces the Host header must also send X-Forwarded-Host.",
        )
    }

    pub(crate) fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not support this method; see the Allow header.",
        )
    }

    pub(crate) fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
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

    pub(crate) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// A storage error: 503.
    pub(crate) fn storage(error: &StorageError) -> Self {
        tracing::error!(%error, "a storage operation failed");
        Self::unavailable("The storage is unavailable. Try again in a few seconds.")
    }

    pub(crate) fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub(crate) fn unsupported_media(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media", detail)
    }

    /// 422 for one field.
    pub(crate) fn invalid_field(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError { field, code, message: message.into() }])
    }

    pub(crate) fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }

    /// 500 without the cause, which the caller has logged.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error. If it persists, report the request id.",
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

/// Temporary database errors are 503, others 500.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        repeat::note(&error);
        if bedel_queue::is_passing(&error) || matches!(error, sqlx::Error::PoolClosed) {
            tracing::warn!(%error, "the database is unavailable or in conflict");
            Self::unavailable("The database is unavailable. Try again in a few seconds.")
        } else {
            tracing::error!(%error, "a statement failed");
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
