//! Courses: the user's own, the catalogue, and new ones.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use bedel_jobs::course::{self, Course};
use bedel_jobs::course_sync::CourseSync;
use bedel_queue::Job;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::badge::{Tone, badge};
use super::form::{FormFields, Sent, done};
use super::icons::{Icon, icon};
use super::layout::{Page, Section, empty};
use super::session::{Session, is_fragment};
use super::text::time;
use crate::api::body::{Fields, Id};
use crate::api::courses::{self, COURSE_COST};
use crate::api::problem::{FieldError, Problem};
use crate::api::query::QueryFields;
use crate::api::state::ApiState;

/// Courses of the catalogue that a page shows.
const MAX_SHOWN: usize = 50;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/ui/courses", get(page).post(create))
        .route("/ui/courses/{id}/add", post(add))
        .route("/ui/courses/{id}/drop", post(drop_choice))
}

async fn page(
    State(state): State<ApiState>,
    session: Session,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let text: String = query.parsed("q", "text", "").unwrap_or_default();
    query.finish()?;
    let mut connection = state.acquire().await?;
    let chosen = course::chosen(&mut connection, session.caller.user_id).await?;
    let all = course::all(&mut connection).await?;
    let schedules = bedel_queue::schedules(&mut connection).await?;
    drop(connection);
    let synced =
        schedules.iter().find(|schedule| schedule.name == CourseSync::KIND && schedule.last_job.is_some());
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let matches = |course: &&Course| {
        let name = format!("{} {}", course.code, course.title).to_lowercase();
        words.iter().all(|word| name.contains(word)) && !chosen.iter().any(|own| own.id == course.id)
    };
    let matching: Vec<&Course> = all.iter().filter(matches).collect();
    let body = html! {
        section.panel aria-labelledby="own" {
            header { h2 #own { "My courses" } }
            @if chosen.is_empty() {
                (empty(Icon::Book, "No courses yet", "Add your courses below. Forms and filters then offer them first.", html! {}))
            } @else { (table(&chosen.iter().collect::<Vec<_>>(), "drop", "Remove")) }
        }
        section.panel aria-labelledby="all" {
            header { h2 #all { "All courses" } (sync_status(synced.map(|schedule| schedule.last_tick))) }
            div.body {
                form.filters method="get" action="/ui/courses" role="search" {
                    div.field.grow { label for="q" { "Code or title" } input #q name="q" type="search" value=(text); }
                    button.button { (icon(Icon::Search)) "Find" }
                }
                @if matching.is_empty() { p.soft { "No other course matches. Create it below." } }
            }
            @if !matching.is_empty() {
                (table(&matching[..matching.len().min(MAX_SHOWN)], "add", "Add"))
                @if matching.len() > MAX_SHOWN { p.more.soft { (matching.len() - MAX_SHOWN) " more: type a code or a title." } }
            }
        }
        section.panel aria-labelledby="new" {
            header { h2 #new { "Create a course" } }
            div.body { (form(&Sent::default())) }
        }
    };
    let page = Page {
        title: "Courses",
        section: Section::Courses,
        parent: None,
        actions: html! { a.button.main-action href="#new" { (icon(Icon::Plus)) "Create a course" } },
        topics: Vec::new(),
        scripts: &[],
        body,
    };
    Ok(page.render(&session))
}

fn sync_status(last: Option<DateTime<Utc>>) -> Markup {
    html! {
        span.small.soft {
            @if let Some(last) = last { "The catalogue was last fetched " (time(last)) }
            @else { "The catalogue was not fetched yet" }
        }
    }
}

fn table(courses: &[&Course], action: &str, text: &str) -> Markup {
    html! {
        table.cards {
            thead { tr { th scope="col" { "Code" } th scope="col" { "Title" } th scope="col" { "Source" } th scope="col" { span.sr { "Actions" } } } }
            tbody { @for course in courses { tr {
                td.nowrap data-label="Code" { (course.code) }
                td {
                    span.title { (course.title) }
                    @if let Some(name) = &course.instructor { div.soft.small { (name) } }
                    div.small {
                        a href={ "/ui/lectures?course_id=" (course.id) } { "Lectures" } " · "
                        a href={ "/ui/documents?course_id=" (course.id) } { "Documents" }
                    }
                }
                td {
                    @if course.is_official { (badge(Tone::Info, Icon::Check, "Catalogue")) } @else { (badge(Tone::Neutral, Icon::Book, "User-made")) }
                }
                td.right {
                    @let address = format!("/ui/courses/{}/{action}", course.id);
                    form method="post" action=(address) hx-post=(address) hx-swap="none" {
                        button.button aria-label={ (text) " " (course.code) } { (text) }
                    }
                }
            } } }
        }
    }
}

fn form(sent: &Sent) -> Markup {
    html! {
        form #course-form.form method="post" action="/ui/courses" hx-post="/ui/courses" hx-swap="outerHTML" {
            (sent.line("code", "Code", "Such as CSC 173.", "text", true))
            (sent.line("title", "Title", "", "text", true))
            (sent.line("instructor", "Instructor (optional)", "", "text", false))
            div.actions { button.button.main-action { (icon(Icon::Plus)) "Create the course" } }
        }
    }
}

/// Creates a course and adds it to the user's.
async fn create(
    State(state): State<ApiState>,
    session: Session,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let fields = FormFields::read(request).await?;
    state.limits.admit(session.caller.user_id, COURSE_COST)?;
    let filled = ["code", "title", "instructor"]
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), Value::String(fields.filled(name)?))));
    match courses::create_from(&state, Fields::of(filled.collect::<Map<_, _>>())).await {
        Ok(made) => {
            courses::choose(State(state), session.caller, Id(made.id)).await?;
            Ok(done(&headers, "/ui/courses"))
        }
        Err(problem) if matches!(problem.status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT) => {
            let status = problem.status;
            let taken = FieldError { field: "code", code: "conflict", message: problem.detail.into_owned() };
            let errors = if problem.errors.is_empty() { vec![taken] } else { problem.errors };
            let form = form(&Sent { fields, errors });
            if is_fragment(&headers) {
                return Ok((status, Html(form.into_string())).into_response());
            }
            let page = Page {
                title: "Create a course",
                section: Section::Courses,
                parent: Some(("/ui/courses", "Courses")),
                actions: html! {},
                topics: Vec::new(),
                scripts: &[],
                body: html! { section.panel { div.body { (form) } } },
            };
            Ok((status, page.render(&session)).into_response())
        }
        Err(problem) => Err(problem),
    }
}

async fn add(
    state: State<ApiState>,
    session: Session,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Problem> {
    courses::choose(state, session.caller, Id(id)).await?;
    Ok(done(&headers, "/ui/courses"))
}

async fn drop_choice(
    state: State<ApiState>,
    session: Session,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Problem> {
    courses::drop_choice(state, session.caller, Id(id)).await?;
    Ok(done(&headers, "/ui/courses"))
}
