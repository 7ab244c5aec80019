//! Adds a lecture by its link, or by a file.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use bedel_jobs::course::Course;
use bedel_speech::engines::EngineKind;
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::api::body::Fields;
use crate::api::lectures::submit;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::assets::Asset;
use crate::ui::course_choice;
use crate::ui::form::{FormFields, Sent, done, upload_progress};
use crate::ui::icons::{Icon, icon};
use crate::ui::layout::{Page, Section};
use crate::ui::session::{Session, is_fragment};

/// The fields of the form by link, by their names in the API.
const TEXTS: [&str; 6] = ["course_id", "panopto_url", "title", "language", "engine", "model"];

/// The page with both forms.
pub(super) async fn form(State(state): State<ApiState>, session: Session) -> Result<Response, Problem> {
    let courses = course_choice::read(&mut *state.acquire().await?, session.caller.user_id).await?;
    Ok(page(&session, &state, &courses, &Sent::default()))
}

/// Submits a link. Invalid fields come back with their errors.
pub(super) async fn submit(
    State(state): State<ApiState>,
    session: Session,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let fields = FormFields::read(request).await?;
    state.limits.admit(session.caller.user_id, NonZeroU32::MIN)?;
    let accepted = match submit::read(Fields::of(body_of(&fields))) {
        Ok(submission) => submit::accept(&state, session.caller, submission).await,
        Err(problem) => Err(problem),
    };
    match accepted {
        Ok(submitted) => Ok(done(&headers, &format!("/ui/lectures/{}", submitted.lecture_id))),
        Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
            let sent = Sent { fields, errors: problem.errors };
            let courses = course_choice::read(&mut *state.acquire().await?, session.caller.user_id).await?;
            let mut response = if is_fragment(&headers) {
                Html(link_form(&courses, &sent).into_string()).into_response()
            } else {
                page(&session, &state, &courses, &sent)
            };
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
        Err(problem) => Err(problem),
    }
}

/// The body that the API would get. Fields left empty are left out; a vocabulary has one term a line.
fn body_of(fields: &FormFields) -> Map<String, Value> {
    let mut map: Map<String, Value> = TEXTS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), Value::String(fields.filled(name)?))))
        .collect();
    let terms: Vec<&str> =
        fields.text("vocabulary").lines().map(str::trim).filter(|term| !term.is_empty()).collect();
    if !terms.is_empty() {
        map.insert("vocabulary".to_owned(), json!(terms));
    }
    map
}

fn page(session: &Session, state: &ApiState, courses: &[Course], sent: &Sent) -> Response {
    let page = Page {
        title: "Add a lecture",
        section: Section::Lectures,
        parent: Some(("/ui/lectures", "My lectures")),
        actions: html! {},
        topics: Vec::new(),
        scripts: &[Asset::Upload],
        body: html! {
            section.panel aria-labelledby="by-link" {
                header { h2 #by-link { "By its link" } }
                div.body { (link_form(courses, sent)) }
            }
            section.panel aria-labelledby="by-file" {
                header { h2 #by-file { "By a file" } }
                div.body { (file_form(state, courses)) }
            }
        },
    };
    page.render(session)
}

fn link_form(courses: &[Course], sent: &Sent) -> Markup {
    let set: BTreeSet<&str> = sent.errors.iter().map(|error| error.field).collect();
    let is_open = ["language", "vocabulary", "engine", "model"].iter().any(|name| set.contains(name));
    html! {
        form #link-form.form method="post" action="/ui/lectures" hx-post="/ui/lectures" hx-swap="outerHTML" {
            (sent.line("panopto_url", "Link of the recording", "The address of its page in Panopto.", "url", true))
            (sent.choice("course_id", "Course", "", &course_choice::options(courses)))
            (sent.line("title", "Title (optional)", "Without one, the title in Panopto is used.", "text", false))
            details open[is_open] {
                summary { "Transcription options" }
                div.form {
                    (sent.line("language", "Language (optional)", "A code such as en. Without one it is recognised.", "text", false))
                    (sent.lines("vocabulary", "Words to expect (optional)", "Names and terms, one a line."))
                    (sent.choice("engine", "Engine", "", &engines()))
                    (sent.line("model", "Model (optional)", "By the engine's name for it.", "text", false))
                }
            }
            div.actions { button.button.main-action { (icon(Icon::Plus)) "Add the lecture" } }
        }
    }
}

/// The engines by name, after the choice to leave it open.
pub(super) fn engines() -> Vec<(String, String)> {
    let usual = (String::new(), "As configured".to_owned());
    let named = EngineKind::ALL.iter().map(|kind| {
        let text = match kind {
            EngineKind::Embedded => "Whisper on this installation",
            EngineKind::Openai => "A server with OpenAI's API",
            EngineKind::Task => "A task server",
        };
        (kind.name().to_owned(), text.to_owned())
    });
    std::iter::once(usual).chain(named).collect()
}

/// The script sends it to the API and shows the progress. A file has no id at Panopto, so it gets a fresh one.
fn file_form(state: &ApiState, courses: &[Course]) -> Markup {
    let megabytes = state.limits.max_audio_bytes / 1024 / 1024;
    html! {
        form.form data-upload="/api/lectures/audio" data-part="audio" data-done="/ui/lectures/{lecture_id}" {
            input type="hidden" name="session_id" value=(Uuid::new_v4());
            div.drop data-drop {
                (icon(Icon::Upload))
                label for="audio" { "Drop a sound file here, or choose one" }
                input #audio name="audio" type="file" accept="audio/*,video/mp4,.m4a,.mp3,.wav,.ogg,.opus,.flac" required aria-describedby="audio-note";
                p.hint { "At most " (megabytes) " MiB." }
                div #audio-note {}
            }
            (Sent::choice_as("file-course_id", "course_id", "Course", &course_choice::options(courses)))
            div.field {
                label for="file-title" { "Title" }
                input #file-title name="title" type="text" maxlength="500" aria-describedby="title-note-file";
                div #title-note-file {}
            }
            (upload_progress())
            div.actions { button.button.main-action { (icon(Icon::Upload)) "Upload" } }
        }
    }
}
