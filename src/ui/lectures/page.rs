//! One lecture: its state, its sound and what was said.

use axum::extract::State;
use axum::response::Response;
use bedel_jobs::course;
use bedel_jobs::lecture::search::viewer_at;
use bedel_jobs::lecture::view::LectureView;
use bedel_jobs::lecture::{LectureStatus, UPLOADED};
use maud::{Markup, html};

use super::list::title;
use super::new::engines;
use super::state;
use crate::api::body::Id;
use crate::api::lectures::visible::visible;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::assets::Asset;
use crate::ui::form::Sent;
use crate::ui::icons::{Icon, icon};
use crate::ui::layout::{Page, Section};
use crate::ui::live::topic;
use crate::ui::session::Session;
use crate::ui::text::{clock, time};

/// The transcript's formats and their names.
const FORMATS: [(&str, &str); 4] =
    [("txt", "Text"), ("vtt", "Captions (VTT)"), ("srt", "Captions (SRT)"), ("json", "Data (JSON)")];

pub(super) async fn show(
    State(state): State<ApiState>,
    session: Session,
    Id(id): Id,
) -> Result<Response, Problem> {
    let lecture = visible(&state, session.caller, id).await?;
    let course = course::among(&mut *state.acquire().await?, &[lecture.course_id]).await?.pop();
    let viewer = viewer(&lecture, &state.environment.settings.tenants);
    let body = html! {
        section #lecture.split aria-label="Lecture" hx-get={ "/ui/lectures/" (id) } hx-select="#lecture" hx-swap="outerHTML"
            hx-trigger={ "lecture-" (id) " from:#live" } {
            div.stack { (content(&lecture, viewer.as_deref())) }
            div.stack {
                (facts(&lecture, course.map(|course| format!("{} · {}", course.code, course.title)).as_deref(), viewer.as_deref()))
                @if lecture.has_transcript { (downloads(&lecture)) }
                (actions(&lecture, session.caller.admin))
            }
        }
    };
    let page = Page {
        title: title(&lecture),
        section: Section::Lectures,
        parent: Some(("/ui/lectures", "My lectures")),
        actions: html! {},
        topics: vec![topic::lecture(id, &state::mark(&lecture.state()))],
        scripts: &[Asset::Player],
        body,
    };
    Ok(page.render(&session))
}

/// Where Panopto plays it. An upload of a plain file has no page there.
fn viewer(lecture: &LectureView, tenants: &[String]) -> Option<String> {
    let is_upload = lecture.stream_url.as_deref() == Some(UPLOADED);
    let url = viewer_at(&lecture.panopto_url, lecture.panopto_session_id.as_deref(), 0.0, tenants);
    url.filter(|_| !is_upload)
}

fn content(lecture: &LectureView, viewer: Option<&str>) -> Markup {
    html! {
        section.panel aria-label="Recording" {
            @if lecture.audio_storage_key.is_some() {
                div.player {
                    audio #audio controls preload="metadata" src={ "/api/lectures/" (lecture.id) "/audio" } aria-label="Sound of the lecture" {}
                    div.actions {
                        @if lecture.has_transcript {
                            div.field.grow {
                                label.sr for="find" { "Find in the transcript" }
                                input #find type="search" placeholder="Find in the transcript" aria-describedby="found";
                            }
                            span #found.small.soft aria-live="polite" {}
                        }
                        @if let Some(viewer) = viewer {
                            a #viewer.button href=(viewer) target="_blank" rel="noopener noreferrer" {
                                (icon(Icon::External)) "Open in Panopto at this second"
                            }
                        }
                    }
                }
            }
            @if lecture.has_transcript {
                div hx-get={ "/ui/lectures/" (lecture.id) "/transcript" } hx-trigger="load" hx-swap="outerHTML" {
                    p.empty.soft role="status" { "Loading the transcript …" }
                }
            } @else {
                div.empty {
                    (icon(Icon::Lecture))
                    h2 { @if lecture.status == LectureStatus::Failed { "There is no transcript" } @else { "The transcript is on its way" } }
                    p {
                        @if lecture.status == LectureStatus::Failed { "The reason is beside this. Retry once it is resolved." }
                        @else { "This page shows each step as it happens. You may close it: the work continues." }
                    }
                }
            }
        }
    }
}

fn facts(lecture: &LectureView, course: Option<&str>, viewer: Option<&str>) -> Markup {
    html! {
        section.panel aria-labelledby="facts" {
            header { h2 #facts { "Status" } }
            div.body {
                (state::view(&lecture.state(), lecture.is_running))
                dl.facts {
                    @if let Some(course) = course { dt { "Course" } dd { (course) } }
                    @if let Some(seconds) = lecture.duration_seconds { dt { "Length" } dd.num { (clock(f64::from(seconds))) } }
                    dt { "Added" } dd { (time(lecture.created_at)) }
                    @if let Some(viewer) = viewer {
                        dt { "Source" } dd { a href=(viewer) target="_blank" rel="noopener noreferrer" { "Panopto" } }
                    } @else { dt { "Source" } dd { "Uploaded file" } }
                }
            }
        }
    }
}

fn downloads(lecture: &LectureView) -> Markup {
    html! {
        section.panel aria-labelledby="downloads" {
            header { h2 #downloads { "Transcript" } }
            div.body { div.actions {
                @for (format, name) in FORMATS {
                    a.button href={ "/api/lectures/" (lecture.id) "/transcript." (format) } download={ "transcript-" (lecture.id) "." (format) } {
                        (icon(Icon::Download)) (name)
                    }
                }
            } }
        }
    }
}

fn actions(lecture: &LectureView, is_admin: bool) -> Markup {
    let is_final = lecture.state().is_final();
    let confirm = if is_admin {
        "Delete this lecture for everybody, with its sound and transcript?"
    } else {
        "Remove this lecture from your list? Without other users, its sound and transcript are deleted."
    };
    html! {
        section.panel aria-labelledby="actions" {
            header { h2 #actions { "Actions" } }
            div.body {
                @if lecture.status == LectureStatus::Failed {
                    (button(lecture, "retry", Icon::Retry, "Retry", None))
                }
                @if !is_final {
                    (button(lecture, "cancel", Icon::Cross, "Cancel", Some("Cancel this lecture? It can be retried later.")))
                }
                @if is_final && (lecture.has_transcript || lecture.status == LectureStatus::Failed) {
                    details {
                        summary { "Transcribe again" }
                        form.form method="post" action={ "/ui/lectures/" (lecture.id) "/transcribe" } hx-post={ "/ui/lectures/" (lecture.id) "/transcribe" } hx-swap="none" {
                            (Sent::default().line("language", "Language", "A code such as en. Empty: as before.", "text", false))
                            (Sent::default().choice("engine", "Engine", "", &engines()))
                            p.hint { "The old transcript stays until the new one is stored." }
                            div.actions { button.button { (icon(Icon::Retry)) "Transcribe again" } }
                        }
                    }
                }
                (button(lecture, "remove", Icon::Trash, "Remove", Some(confirm)))
            }
        }
    }
}

fn button(lecture: &LectureView, action: &str, mark: Icon, text: &str, confirm: Option<&str>) -> Markup {
    let address = format!("/ui/lectures/{}/{action}", lecture.id);
    let class = if action == "remove" { "button danger" } else { "button" };
    html! {
        form method="post" action=(address) hx-post=(address) hx-swap="none" hx-confirm=[confirm] {
            button class=(class) { (icon(mark)) (text) }
        }
    }
}
