//! The signed-in user of a page.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use crate::api::auth::Caller;
use crate::api::auth::same_origin::{is_navigation, is_same_origin};
use crate::api::auth::sessions::SessionId;
use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// The sign-in page.
pub(super) const SIGN_IN: &str = "/ui/sign-in";

/// The signed-in user of a page. Extracting it sends others to the sign-in page. A request must come from a page
/// of this site, unless it follows a link. Unsafe methods need the right to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    /// The user and their rights.
    pub(super) caller: Caller,
    /// For ending the session.
    pub(super) id: SessionId,
    /// What the page shows at least.
    pub(super) version: QueueVersion,
}

/// A number that grows whenever the live updates see a change of the queue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct QueueVersion(pub(super) u64);

/// The session of an admin; 403 for others.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdminSession(pub(super) Session);

/// Why there is no session.
pub(super) enum Refusal {
    /// Sign in first.
    SignIn {
        /// True for a request of htmx, whose page must navigate as a whole.
        is_fragment: bool,
        /// The page to return to.
        next: Option<String>,
    },
    /// The request is refused.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::SignIn { is_fragment: true, .. } => {
                (StatusCode::NO_CONTENT, [("hx-redirect", HeaderValue::from_static(SIGN_IN))]).into_response()
            }
            Self::SignIn { next: None, .. } => Redirect::to(SIGN_IN).into_response(),
            Self::SignIn { next: Some(next), .. } => {
                let query =
                    url::form_urlencoded::Serializer::new(String::new()).append_pair("next", &next).finish();
                Redirect::to(&format!("{SIGN_IN}?{query}")).into_response()
            }
        }
    }
}

impl FromRequestParts<ApiState> for Session {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Refusal> {
        if let Some(session) = parts.extensions.get::<Self>().filter(|_| parts.method.is_safe()) {
            return Ok(*session);
        }
        let version = parts.extensions.get::<QueueVersion>().copied().unwrap_or_default();
        let sign_in = || Refusal::SignIn {
            is_fragment: is_fragment(&parts.headers),
            next: (parts.method == Method::GET).then(|| parts.uri.to_string()),
        };
        let id = SessionId::of(&parts.headers).ok_or_else(sign_in)?;
        // A page of another site may link to ours. It must not fetch them: CORS might let it read the answer.
        let (method, headers) = (&parts.method, &parts.headers);
        if !is_same_origin(method, headers) && !is_navigation(method, headers) {
            return Err(Problem::cross_site().into());
        }
        let caller = state.authenticator.session(&state.pool, id).await?.ok_or_else(sign_in)?;
        if !caller.may_write && !parts.method.is_safe() {
            return Err(Problem::forbidden(
                "You signed in with a read-only token, so nothing can be changed.",
            )
            .into());
        }
        Ok(Self { caller, id, version })
    }
}

impl FromRequestParts<ApiState> for AdminSession {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Refusal> {
        let session = Session::from_request_parts(parts, state).await?;
        if session.caller.admin {
            Ok(Self(session))
        } else {
            Err(Problem::forbidden("Only operators may see this page. Sign in with an admin's token.").into())
        }
    }
}

/// True for a request of htmx, which swaps the answer into a page.
pub(super) fn is_fragment(headers: &HeaderMap) -> bool {
    headers.contains_key(HeaderName::from_static("hx-request"))
}
