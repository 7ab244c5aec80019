//! The user's documents: upload, list, download, delete.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use bedel_jobs::course::{self, Course};
use bedel_jobs::document::{self, Document};
use maud::{Markup, html};
use uuid::Uuid;

use super::assets::Asset;
use super::badge;
use super::course_choice;
use super::form::{Sent, done, upload_progress};
use super::icons::{Icon, icon};
use super::layout::{Page, Section, empty};
use super::session::Session;
use super::text::{size, time};
use crate::api::body::Id;
use crate::api::documents;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/documents", get(page)).route("/ui/documents/{id}/delete", post(delete))
}

async fn page(
    State(state): State<ApiState>,
    session: Session,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let course_id: Option<Uuid> = query.parsed("course_id", "uuid", "Choose a course of the list.");
    query.finish()?;
    let mut connection = state.acquire().await?;
    let user_id = session.caller.user_id;
    let listed = match course_id {
        Some(id) => document::of_course(&mut connection, user_id, id).await?,
        None => document::of_owner(&mut connection, user_id).await?,
    };
    let choices = course_choice::read(&mut connection, user_id).await?;
    let ids: Vec<Uuid> = listed.iter().map(|document| document.course_id).chain(course_id).collect();
    let courses = course::among(&mut connection, &ids).await?;
    drop(connection);
    let of_course = course_id.and_then(|id| courses.iter().find(|course| course.id == id));
    let title =
        of_course.map_or_else(|| "Documents".to_owned(), |course| format!("Documents of {}", course.code));
    let page = Page {
        title: &title,
        section: Section::Documents,
        parent: course_id.map(|_| ("/ui/documents", "All documents")),
        actions: html! { a.button.main-action href="#upload" { (icon(Icon::Upload)) "Upload a PDF" } },
        topics: Vec::new(),
        scripts: &[Asset::Upload],
        body: html! {
            section.panel aria-label="Documents" {
                @if listed.is_empty() {
                    (empty(Icon::File, "No documents yet", "Upload the PDF files of your courses: slides, notes, exercises.", html! {}))
                } @else { (table(&listed, &courses)) }
            }
            section.panel aria-labelledby="upload" {
                header { h2 #upload { "Upload a PDF" } }
                div.body { (form(&state, &choices)) }
            }
        },
    };
    Ok(page.render(&session))
}

fn table(documents: &[Document], courses: &[Course]) -> Markup {
    html! {
        table.cards {
            caption.sr { "Documents, newest first" }
            thead { tr { th scope="col" { "Document" } th scope="col" { "Status" } th scope="col" { "Size" } th scope="col" { "Added" } th scope="col" { span.sr { "Actions" } } } }
            tbody { @for document in documents { tr {
                td {
                    a.title href={ "/api/documents/" (document.id) "/file" } download=(document.filename) { (document.filename) }
                    @if let Some(course) = courses.iter().find(|course| course.id == document.course_id) { div.soft.small { (course.code) } }
                }
                td { (badge::document(document.status)) }
                td.num data-label="Size" { (size(document.size_bytes)) }
                td data-label="Added" { (time(document.created_at)) }
                td.right {
                    @let address = format!("/ui/documents/{}/delete", document.id);
                    form method="post" action=(address) hx-post=(address) hx-swap="none" hx-confirm={ "Delete " (document.filename) "?" } {
                        button.button.danger aria-label={ "Delete " (document.filename) } { (icon(Icon::Trash)) "Delete" }
                    }
                }
            } } }
        }
    }
}

fn form(state: &ApiState, courses: &[Course]) -> Markup {
    html! {
        form.form data-upload="/api/documents/upload" data-part="file" data-done="/ui/documents" {
            (Sent::choice_as("course_id", "course_id", "Course", &course_choice::options(courses)))
            div.drop data-drop {
                (icon(Icon::Upload))
                label for="file" { "Drop a PDF here, or choose one" }
                input #file name="file" type="file" accept="application/pdf,.pdf" required aria-describedby="file-note";
                p.hint { "At most " (state.limits.max_document_bytes / 1024 / 1024) " MiB." }
                div #file-note {}
            }
            (upload_progress())
            div.actions { button.button.main-action { (icon(Icon::Upload)) "Upload" } }
        }
    }
}

async fn delete(
    state: State<ApiState>,
    session: Session,
    headers: HeaderMap,
    Id(id): Id,
) -> Result<Response, Problem> {
    documents::remove(state, session.caller, Id(id)).await?;
    Ok(done(&headers, "/ui/documents"))
}
