//! The pages: HTML from the server, updated in place by htmx and one event stream per tab.
//!
//! A page calls the same functions of `bedel_jobs` and the same checks as the API. Uploads, audio and downloads use the
//! API itself: it accepts the session's cookie from our own pages.
//!
//! - [`session`] finds the signed-in user, [`layout`] draws the frame of a page, [`errors`] turns problems into pages.
//! - [`live`] sends changes to open tabs.
//! - The students' pages: [`lectures`], [`search`], [`courses`], [`documents`]. The operators' pages: [`admin`].

mod admin;
mod assets;
mod badge;
mod chart;
mod course_choice;
mod courses;
mod documents;
mod errors;
mod form;
mod icons;
mod layout;
mod lectures;
mod live;
mod search;
mod session;
mod sign_in;
mod text;

use axum::response::Redirect;
use axum::routing::{any, get};
use axum::{Extension, Router};
use tokio_util::sync::CancellationToken;

use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// Where a user without another target goes.
const HOME: &str = "/ui/lectures";

/// All pages. Live streams end when `stop` fires.
pub(crate) fn routes(state: &ApiState, stop: &CancellationToken) -> Router<ApiState> {
    let hub = live::Hub::new(state.pool.clone(), state.authenticator.clone(), stop.clone());
    let pages = Router::new()
        .route("/", get(async || Redirect::to("/ui")))
        .route("/ui", get(async || Redirect::to(HOME)))
        .route("/ui/", get(async || Redirect::to(HOME)))
        .merge(sign_in::routes())
        .merge(lectures::routes())
        .merge(search::routes())
        .merge(courses::routes())
        .merge(documents::routes())
        .merge(admin::routes())
        .merge(live::routes())
        .route("/ui/{*path}", any(async || Problem::not_found("There is no page at this address.")))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(axum::middleware::from_fn(errors::finish))
        .layer(axum::middleware::from_fn(live::note_version))
        .layer(Extension(hub));
    pages.merge(assets::routes())
}
