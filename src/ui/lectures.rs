//! The user's lectures: list, submit, and one lecture.

mod actions;
mod list;
mod new;
mod page;
pub(super) mod state;
mod transcript;

use axum::Router;
use axum::routing::{get, post};

use crate::api::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/lectures", get(list::list).post(new::submit))
        .route("/ui/lectures/new", get(new::form))
        .route("/ui/lectures/{id}", get(page::show))
        .route("/ui/lectures/{id}/transcript", get(transcript::show))
        .route("/ui/lectures/{id}/retry", post(actions::retry))
        .route("/ui/lectures/{id}/cancel", post(actions::cancel))
        .route("/ui/lectures/{id}/transcribe", post(actions::transcribe))
        .route("/ui/lectures/{id}/remove", post(actions::remove))
}
