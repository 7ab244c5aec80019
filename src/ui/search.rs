//! Search in what was said.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use bedel_jobs::lecture::list::{Cursor, InvalidCursor};
use bedel_jobs::lecture::search::{self, Hit, Hits, Query, Scope};
use maud::{Markup, PreEscaped, html};
use uuid::Uuid;

use super::course_choice;
use super::errors::alert;
use super::icons::{Icon, icon};
use super::layout::{Page, Section, empty};
use super::session::Session;
use super::text::clock;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;

/// Hits of a page.
const LIMIT: u16 = 20;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/search", get(page))
}

async fn page(
    State(state): State<ApiState>,
    session: Session,
    mut fields: QueryFields,
) -> Result<Response, Problem> {
    let text: String = fields.parsed("q", "text", "").unwrap_or_default();
    let course = fields.parsed::<String>("course_id", "text", "").unwrap_or_default();
    let course_id = course.parse::<Uuid>().ok();
    let after: Option<Cursor> = fields.parsed("cursor", "cursor", InvalidCursor);
    fields.finish()?;
    let mut connection = state.acquire().await?;
    let courses = course_choice::read(&mut connection, session.caller.user_id).await?;
    let found = match text.parse::<Query>() {
        _ if text.trim().is_empty() => None,
        Err(error) => Some(Err(error.to_string())),
        Ok(query) => {
            let tenants = &state.environment.settings.tenants;
            let scope = Scope { user_id: session.caller.user_id, course_id, after, tenants };
            Some(Ok(search::page(&mut connection, &query, scope, LIMIT).await?))
        }
    };
    drop(connection);
    let body = html! {
        form.filters method="get" action="/ui/search" role="search" {
            div.field.grow {
                label for="q" { "Words that were said" }
                input #q name="q" type="search" value=(text) autofocus[text.is_empty()] aria-describedby="q-note";
            }
            div.field {
                label for="course_id" { "Course" }
                select #course_id name="course_id" {
                    option value="" { "All courses" }
                    @for course in &courses { option value=(course.id) selected[course_id == Some(course.id)] { (course.code) } }
                }
            }
            button.button.main-action { (icon(Icon::Search)) "Search" }
        }
        p #q-note.hint { "\"Quoted words\" are a phrase, word* is a beginning, -word excludes." }
        @match &found {
            None => {},
            Some(Err(error)) => (alert(error)),
            Some(Ok(found)) => (hits(found, &text, course_id)),
        }
    };
    let page = Page {
        title: "Search",
        section: Section::Search,
        parent: None,
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body,
    };
    Ok(page.render(&session))
}

fn hits(found: &Hits, text: &str, course_id: Option<Uuid>) -> Markup {
    html! {
        @if found.hits.is_empty() && found.next.is_none() {
            section.panel {
                (empty(Icon::Search, "Nothing found", "All words must be said within about half a minute. Try fewer words, or another course.", html! {}))
            }
        } @else {
            ol.hits aria-label="Moments" { @for hit in &found.hits { (moment(hit)) } }
            @if let Some(next) = found.next {
                @let mut query = url::form_urlencoded::Serializer::new(String::new());
                @let query = {
                    query.append_pair("q", text);
                    if let Some(id) = course_id { query.append_pair("course_id", &id.to_string()); }
                    query.append_pair("cursor", &next.to_string()).finish()
                };
                div.more { a.button href={ "/ui/search?" (query) } { "Show more" } }
            }
        }
    }
}

fn moment(hit: &Hit) -> Markup {
    html! {
        li.panel.hit {
            a href={ "/ui/lectures/" (hit.lecture_id) "#t=" (hit.start.max(0.0).floor()) } {
                (hit.title.as_deref().unwrap_or("Untitled recording"))
                @if !hit.in_title { " at " (clock(hit.start)) }
            }
            // The search escapes the text and adds only <mark>.
            p { (PreEscaped(&hit.snippet)) }
            @if let Some(url) = &hit.url {
                p.small { a href=(url) target="_blank" rel="noopener noreferrer" { (icon(Icon::External)) " Open in Panopto" } }
            }
        }
    }
}
