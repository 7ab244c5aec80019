//! A lecture's state as a piece of HTML, in lists, on its page and in live updates.

use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::view::LectureState;
use maud::{Markup, html};
use uuid::Uuid;

use crate::ui::badge;
use crate::ui::text::{percent, wait};

/// What decides which parts a lecture's page has: it asks for all of them again when this changes.
pub(crate) fn mark(state: &LectureState) -> String {
    let status = match state.status {
        LectureStatus::Pending => "pending",
        LectureStatus::Downloading => "downloading",
        LectureStatus::Completed => "completed",
        LectureStatus::Failed => "failed",
    };
    format!("{status}-{}", state.stage.as_deref().unwrap_or("end"))
}

/// Id of the element that [`view`] makes.
pub(crate) fn element_id(lecture: Uuid) -> String {
    format!("state-{lecture}")
}

/// Badge, progress, remaining time, and the reason of a failure. `is_running`: a worker has the job now.
pub(crate) fn view(state: &LectureState, is_running: bool) -> Markup {
    html! {
        div.state id=(element_id(state.lecture_id)) {
            (badge::lecture(state.status, state.stage.as_deref(), is_running))
            @if let (Some(progress), false) = (state.progress, state.status == LectureStatus::Failed) {
                progress max="100" value=(percent(progress)) aria-label="Progress" { (percent(progress)) " %" }
                span.why.num {
                    (percent(progress)) " %"
                    @if let Some(seconds) = state.seconds_left { ", " (wait(seconds)) " left" }
                }
            }
            @if let Some(reason) = &state.error_message {
                @if state.status != LectureStatus::Completed { p.why { (reason) } }
            }
        }
    }
}

/// The state in words, for screen readers.
pub(crate) fn words(state: &LectureState, is_running: bool) -> &'static str {
    match (state.status, state.stage.as_deref()) {
        (LectureStatus::Completed, None) => "ready",
        (LectureStatus::Failed, _) => "failed",
        (_, Some("submit")) => "looking for the recording",
        (_, Some("download")) => "downloading",
        (_, Some("probe")) => "checking the sound",
        (_, Some("transcribe")) if is_running => "transcribing",
        _ => "waiting",
    }
}
