//! Lanes: how much waits in each, pause and resume.

use axum::extract::{Request, State};
use axum::response::{Redirect, Response};
use bedel_jobs::audit::Actor;
use bedel_jobs::registry::known_queues;
use bedel_queue::QueueView;
use maud::{Markup, html};

use super::parts::{capped, plain, post_button};
use crate::api::operator_actions;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::badge::{Tone, badge};
use crate::ui::form::FormFields;
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section};
use crate::ui::session::AdminSession;
use crate::ui::text::time;

/// The page.
pub(super) async fn list(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let queues = known_queues(&mut connection, &state.registry).await?;
    drop(connection);
    let page = Page {
        title: "Queues",
        section: Section::Queues,
        parent: None,
        actions: html! {},
        topics: vec!["overview".to_owned()],
        scripts: &[],
        body: html! {
            p.soft { "Workers claim no job of a paused lane. Running jobs continue, and new jobs wait." }
            section #queues.panel aria-label="Lanes" hx-get="/ui/admin/queues" hx-select="#queues" hx-swap="outerHTML"
                hx-trigger="overview from:#live" { (table(&queues, true)) }
        },
    };
    Ok(page.render(&session))
}

/// The lanes. `has_actions`: with buttons.
pub(super) fn table(queues: &[QueueView], has_actions: bool) -> Markup {
    html! {
        div.scroll { table.cards {
            caption.sr { "Lanes" }
            thead { tr {
                th scope="col" { "Lane" } th scope="col" { "State" } th.right scope="col" { "Waiting" }
                th.right scope="col" { "Running" } th scope="col" { "Next due" }
                @if has_actions { th scope="col" { "Action" } }
            } }
            tbody { @for queue in queues { tr {
                th.cell scope="row" { a.title href={ "/ui/admin/jobs?queue=" (encoded(&queue.name)) } { (plain(&queue.name)) } }
                td { @match queue.paused_at {
                    Some(at) => { (badge(Tone::Warn, Icon::Pause, "Paused")) " " span.soft.small { (time(at)) } },
                    None => (badge(Tone::Good, Icon::Check, "Open")),
                } }
                td.right data-label="Waiting" { (capped(queue.available)) }
                td.right data-label="Running" { (capped(queue.running)) }
                td data-label="Next due" { @match queue.oldest_run_at { Some(at) => (time(at)), None => span.soft { "–" } } }
                @if has_actions { td { (button(queue)) } }
            } } }
        } }
    }
}

fn encoded(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect()
}

fn button(queue: &QueueView) -> Markup {
    let (verb, text, mark) = if queue.paused_at.is_some() {
        ("resume", "Resume", Icon::Lecture)
    } else {
        ("pause", "Pause", Icon::Pause)
    };
    post_button(
        &format!("/ui/admin/queues/{verb}"),
        &[("name", &queue.name)],
        "",
        mark,
        &format!("{text} {}", queue.name),
    )
}

/// Pauses a lane.
pub(super) async fn pause(
    State(state): State<ApiState>,
    session: AdminSession,
    request: Request,
) -> Result<Redirect, Problem> {
    change(&state, &session, request, true).await
}

/// Resumes a lane.
pub(super) async fn resume(
    State(state): State<ApiState>,
    session: AdminSession,
    request: Request,
) -> Result<Redirect, Problem> {
    change(&state, &session, request, false).await
}

async fn change(
    state: &ApiState,
    AdminSession(session): &AdminSession,
    request: Request,
    pauses: bool,
) -> Result<Redirect, Problem> {
    let form = FormFields::read(request).await?;
    let name = form.text("name");
    let changed =
        operator_actions::set_paused(state, name, pauses, Actor::ui(session.caller.user_id)).await?;
    changed.ok_or_else(|| Problem::not_found("There is no such lane."))?;
    Ok(Redirect::to("/ui/admin/queues"))
}
