//! The record of operators' actions.

use axum::extract::State;
use axum::response::Response;
use bedel_jobs::audit::{self, AuditEntry};
use maud::{Markup, html};

use super::parts::{number, plain};
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section, empty};
use crate::ui::session::AdminSession;
use crate::ui::text::time;

/// Rows of a page.
const LIMIT: i64 = 50;

/// Most characters shown of an action's details.
const MAX_CHARS: usize = 400;

/// The page.
pub(super) async fn list(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let before: Option<i64> = query.parsed("cursor", "cursor", "this must be the end of the page before");
    query.finish()?;
    let mut connection = state.acquire().await?;
    let entries = audit::list(&mut connection, before, LIMIT).await?;
    drop(connection);
    let next = entries.last().filter(|_| i64::try_from(entries.len()) == Ok(LIMIT)).map(|entry| entry.id);
    let page = Page {
        title: "Audit",
        section: Section::Audit,
        parent: None,
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body: html! { section.panel aria-label="Actions" {
            @if entries.is_empty() {
                (empty(Icon::Shield, "No action yet", "Retries, cancellations, pauses and bulk operations appear here, with who did them.", html! {}))
            } @else { (table(&entries)) }
            @if before.is_some() || next.is_some() {
                nav.more.actions aria-label="Pages" {
                    @if before.is_some() { a.button href="/ui/admin/audit" { "First page" } }
                    @if let Some(next) = next { a.button rel="next" href={ "/ui/admin/audit?cursor=" (next) } { "Next page" } }
                }
            }
        } },
    };
    Ok(page.render(&session))
}

fn table(entries: &[AuditEntry]) -> Markup {
    html! {
        div.scroll { table.cards {
            caption.sr { "Operators' actions, newest first" }
            thead { tr {
                th scope="col" { "Action" } th scope="col" { "When" } th scope="col" { "Who" }
                th scope="col" { "On" } th.right scope="col" { "Jobs" } th scope="col" { "Details" }
            } }
            tbody { @for entry in entries { (row(entry)) } }
        } }
    }
}

fn row(entry: &AuditEntry) -> Markup {
    let detail = if entry.detail.as_object().is_some_and(|fields| fields.is_empty()) {
        String::new()
    } else {
        entry.detail.to_string().chars().take(MAX_CHARS).collect()
    };
    html! {
        tr {
            th.cell scope="row" { span.title { (plain(&entry.action)) } }
            td data-label="When" { (time(entry.at)) }
            td data-label="Who" {
                @match entry.user_id { Some(user_id) => span.mono.small { (user_id) }, None => "command line" }
                div.soft.small { "by " (plain(&entry.source)) }
            }
            td data-label="On" { (target(entry)) }
            td.right data-label="Jobs" { (number(entry.count)) }
            td { @if !detail.is_empty() { code { (plain(&detail)) } } }
        }
    }
}

/// What was acted on, with a link to it.
fn target(entry: &AuditEntry) -> Markup {
    let Some(target) = &entry.target else { return html! { span.soft { "–" } } };
    let base = match entry.action.as_str() {
        "start-bulk" | "stop-bulk" | "end-bulk" => Some("/ui/admin/bulk/"),
        "pause-queue" | "resume-queue" | "remove-webhook" => None,
        webhook if webhook.ends_with("-webhook") => Some("/ui/webhooks/"),
        _ => Some("/ui/admin/jobs/"),
    };
    let base = base.filter(|_| target.parse::<uuid::Uuid>().is_ok());
    html! {
        @match base {
            Some(base) => a.mono.small href={ (base) (target) } { (target) },
            None => (plain(target)),
        }
    }
}
