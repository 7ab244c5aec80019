//! The state of the queue at a glance.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use bedel_jobs::registry::with_idle_queues;
use bedel_queue::{Depth, Overview, QueueView, overview};
use maud::{Markup, html};

use super::history::{self, History};
use super::parts::{capped, plain, span};
use super::queues;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::ui::layout::{Page, Section};
use crate::ui::session::AdminSession;

/// The page, or one part of it for an update.
pub(super) async fn show(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let part: Option<String> = query.parsed("part", "text", "");
    query.finish()?;
    let mut connection = state.acquire().await?;
    if part.as_deref() == Some("history") {
        let history = history::read(&mut connection).await?;
        return Ok(Html(history::view(&history).into_string()).into_response());
    }
    let view = overview(&mut connection, &state.registry.kinds()).await?;
    let lanes = with_idle_queues(view.queues.clone(), &state.registry);
    if part.as_deref() == Some("now") {
        return Ok(Html(now(&view, &lanes).into_string()).into_response());
    }
    let history: History = history::read(&mut connection).await?;
    drop(connection);
    let page = Page {
        title: "Overview",
        section: Section::Overview,
        parent: None,
        actions: html! {},
        topics: vec!["overview".to_owned()],
        scripts: &[],
        body: html! { (now(&view, &lanes)) (history::view(&history)) },
    };
    Ok(page.render(&session))
}

/// Asks for itself when something changed.
fn now(view: &Overview, lanes: &[QueueView]) -> Markup {
    let sum = |count: fn(&Depth) -> i64| view.kinds.iter().map(count).sum::<i64>();
    let oldest = view.kinds.iter().map(|kind| kind.oldest_seconds).fold(0.0, f64::max);
    let tiles = [
        ("Due", capped(sum(|kind| kind.due)), "?state=available"),
        ("Scheduled or retrying", capped(sum(|kind| kind.scheduled)), "?state=available"),
        ("Running", capped(sum(|kind| kind.running)), "?state=running"),
        ("Failing", capped(sum(|kind| kind.failing)), "?state=available"),
        ("Oldest due", if oldest > 0.0 { span(oldest) } else { "–".to_owned() }, "?state=available"),
    ];
    html! {
        div #now.stack hx-get="/ui/admin/overview?part=now" hx-swap="outerHTML" hx-trigger="overview from:#live" {
            dl.tiles { @for (name, value, query) in &tiles {
                div.panel.tile { dt { (name) } dd { a.quiet href={ "/ui/admin/jobs" (query) } { (value) } } }
            } }
            section.panel aria-labelledby="kinds-heading" {
                header { h2 #kinds-heading { "Kinds" } }
                (kinds(&view.kinds))
            }
            section.panel aria-labelledby="lanes-heading" {
                header { h2 #lanes-heading { "Lanes" } a href="/ui/admin/queues" { "Pause or resume" } }
                (queues::table(lanes, false))
            }
        }
    }
}

fn kinds(kinds: &[Depth]) -> Markup {
    html! {
        div.scroll { table.cards {
            caption.sr { "Waiting, running and failing jobs of each kind" }
            thead { tr {
                th scope="col" { "Kind" } th.right scope="col" { "Due" } th.right scope="col" { "Scheduled" }
                th.right scope="col" { "Running" } th.right scope="col" { "Failing" } th.right scope="col" { "Oldest due" }
            } }
            tbody { @for kind in kinds { tr {
                th.cell scope="row" { a.title href={ "/ui/admin/jobs?kind=" (kind.kind) } { (plain(&kind.kind)) } }
                td.right data-label="Due" { (capped(kind.due)) }
                td.right data-label="Scheduled" { (capped(kind.scheduled)) }
                td.right data-label="Running" { (capped(kind.running)) }
                td.right data-label="Failing" { (capped(kind.failing)) }
                td.right data-label="Oldest due" {
                    @if kind.oldest_seconds > 0.0 { (span(kind.oldest_seconds)) } @else { span.soft { "–" } }
                }
            } } }
        } }
    }
}
