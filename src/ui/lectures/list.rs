//! The list of the user's lectures.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Response};
use bedel_jobs::course::{self, Course};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::list::{self, Cursor, Page as LecturePage};
use bedel_jobs::lecture::view::{Filter, LectureView};
use maud::{Markup, html};
use uuid::Uuid;

use super::state;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::ui::course_choice;
use crate::ui::icons::{Icon, icon};
use crate::ui::layout::{Page, Section, empty};
use crate::ui::live::topic;
use crate::ui::session::{Session, is_fragment};
use crate::ui::text::{clock, time};

/// Lectures of a page.
const LIMIT: u16 = 25;

/// The statuses to filter by, with their names here.
const STATUSES: [(&str, &str); 4] =
    [("pending", "Waiting"), ("downloading", "In progress"), ("completed", "Ready"), ("failed", "Failed")];

/// What the list shows.
struct Listed {
    /// To choose from.
    choices: Vec<Course>,
    /// Those of the lectures.
    courses: Vec<Course>,
    page: LecturePage,
    filter: Filter,
    status: String,
    is_first: bool,
}

/// The list, its rows alone for a later page, or all but the frame for an update.
pub(super) async fn list(
    State(state): State<ApiState>,
    session: Session,
    headers: HeaderMap,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let course = query.parsed::<String>("course_id", "text", "").filter(|text| !text.is_empty());
    let status = query.parsed::<String>("status", "text", "").unwrap_or_default();
    let after: Option<Cursor> = query.parsed("cursor", "cursor", list::InvalidCursor);
    let filter = Filter {
        course_id: match course.as_deref().map(str::parse::<Uuid>) {
            Some(Ok(id)) => Some(id),
            Some(Err(_)) => {
                query.refuse("course_id", "uuid", "Choose a course of the list.");
                None
            }
            None => None,
        },
        status: if status.is_empty() {
            None
        } else {
            let known = status.parse::<LectureStatus>().ok();
            if known.is_none() {
                query.refuse("status", "choice", "Choose a status of the list.");
            }
            known
        },
    };
    query.finish()?;
    let mut connection = state.acquire().await?;
    let choices = course_choice::read(&mut connection, session.caller.user_id).await?;
    let page = list::page(&mut connection, session.caller.user_id, filter, after, LIMIT).await?;
    let ids: Vec<Uuid> = page.lectures.iter().map(|lecture| lecture.course_id).collect();
    let courses = course::among(&mut connection, &ids).await?;
    drop(connection);
    let listed = Listed { choices, courses, page, filter, status, is_first: after.is_none() };
    if is_fragment(&headers) && !listed.is_first {
        return Ok(Html(rows(&listed).into_string()).into_response());
    }
    let is_filtered = filter.course_id.is_some() || filter.status.is_some();
    let newest =
        listed.page.lectures.first().map(|lecture| lecture.id).filter(|_| !is_filtered && listed.is_first);
    let live = listed.page.lectures.iter().filter(|lecture| !lecture.state().is_final());
    let mut topics: Vec<String> =
        live.map(|lecture| topic::lecture(lecture.id, &state::mark(&lecture.state()))).collect();
    topics.push(topic::lectures(newest));
    let page = Page {
        title: "My lectures",
        section: Section::Lectures,
        parent: None,
        actions: html! { a.button.main-action href="/ui/lectures/new" { (icon(Icon::Plus)) "Add a lecture" } },
        topics,
        scripts: &[],
        body: html! { (filters(&listed)) (table(&listed, is_filtered)) },
    };
    Ok(page.render(&session))
}

fn filters(listed: &Listed) -> Markup {
    html! {
        form.filters method="get" action="/ui/lectures" aria-label="Filter" {
            div.field {
                label for="course_id" { "Course" }
                select #course_id name="course_id" data-submit-on-change {
                    option value="" { "All courses" }
                    @for course in &listed.choices {
                        option value=(course.id) selected[listed.filter.course_id == Some(course.id)] { (course.code) " · " (course.title) }
                    }
                }
            }
            div.field {
                label for="status" { "Status" }
                select #status name="status" data-submit-on-change {
                    option value="" { "All" }
                    @for (value, name) in STATUSES { option value=(value) selected[listed.status == value] { (name) } }
                }
            }
            noscript { button.button { "Show" } }
        }
    }
}

/// Asks for itself when a lecture was added.
fn table(listed: &Listed, is_filtered: bool) -> Markup {
    html! {
        section #lectures.panel aria-label="Lectures" hx-get={ "/ui/lectures?" (query(listed, None)) } hx-select="#lectures"
            hx-swap="outerHTML" hx-trigger="lectures from:#live" {
            @if listed.page.lectures.is_empty() && listed.page.next.is_none() {
                @if is_filtered {
                    (empty(Icon::Search, "No lecture matches", "Choose another course or status.", html! {
                        a.button href="/ui/lectures" { "Show all lectures" }
                    }))
                } @else {
                    (empty(Icon::Lecture, "No lectures yet", "Paste the link of a Panopto recording, or upload a sound file. Bedel fetches it and writes down what was said.", html! {
                        a.button.main-action href="/ui/lectures/new" { (icon(Icon::Plus)) "Add a lecture" }
                    }))
                }
            } @else {
                table.cards {
                    caption.sr { "Lectures, newest first" }
                    thead { tr { th scope="col" { "Lecture" } th scope="col" { "Status" } th scope="col" { "Length" } th scope="col" { "Added" } } }
                    tbody #rows { (rows(listed)) }
                }
            }
        }
    }
}

/// The rows, and the button that replaces itself with the next ones.
fn rows(listed: &Listed) -> Markup {
    html! {
        @for lecture in &listed.page.lectures { (row(lecture, &listed.courses)) }
        @if let Some(next) = listed.page.next {
            tr #more { td colspan="4" {
                button.button type="button" hx-get={ "/ui/lectures?" (query(listed, Some(next))) } hx-target="#more" hx-swap="outerHTML" {
                    "Show more"
                }
            } }
        }
    }
}

fn row(lecture: &LectureView, courses: &[Course]) -> Markup {
    let course = courses.iter().find(|course| course.id == lecture.course_id);
    html! {
        tr {
            td {
                a.title href={ "/ui/lectures/" (lecture.id) } { (title(lecture)) }
                @if let Some(course) = course { div.soft.small { (course.code) } }
            }
            td { (state::view(&lecture.state(), lecture.is_running)) }
            td.num data-label="Length" {
                @if let Some(seconds) = lecture.duration_seconds { (clock(f64::from(seconds))) } @else { span.soft { "–" } }
            }
            td data-label="Added" { (time(lecture.created_at)) }
        }
    }
}

/// The title that users see.
pub(super) fn title(lecture: &LectureView) -> &str {
    lecture.title.as_deref().unwrap_or("Untitled recording")
}

fn query(listed: &Listed, cursor: Option<Cursor>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(id) = listed.filter.course_id {
        query.append_pair("course_id", &id.to_string());
    }
    if !listed.status.is_empty() {
        query.append_pair("status", &listed.status);
    }
    if let Some(cursor) = cursor {
        query.append_pair("cursor", &cursor.to_string());
    }
    query.finish()
}
