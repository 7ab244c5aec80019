//! Schedules: the last tick, the next one, and a run by hand.

use axum::extract::{Request, State};
use axum::response::{Redirect, Response};
use bedel_jobs::audit::Actor;
use bedel_queue::{ScheduleView, next_tick};
use maud::{Markup, html};

use super::parts::{number, plain, post_button};
use crate::api::operator_actions;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::form::FormFields;
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section, empty};
use crate::ui::session::AdminSession;
use crate::ui::text::time;

/// The page.
pub(super) async fn list(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let schedules = bedel_queue::schedules(&mut connection).await?;
    drop(connection);
    let page = Page {
        title: "Schedules",
        section: Section::Schedules,
        parent: None,
        actions: html! {},
        topics: vec!["overview".to_owned()],
        scripts: &[],
        body: table(&schedules),
    };
    Ok(page.render(&session))
}

fn table(schedules: &[ScheduleView]) -> Markup {
    html! {
        section #schedules.panel aria-label="Schedules" hx-get="/ui/admin/schedules" hx-select="#schedules"
            hx-swap="outerHTML" hx-trigger="overview from:#live" {
            @if schedules.is_empty() {
                (empty(Icon::Clock, "No schedule yet", "A scheduler registers its schedules when it starts: run bedel scheduler.", html! {}))
            } @else {
                div.scroll { table.cards {
                    caption.sr { "Schedules, by name" }
                    thead { tr {
                        th scope="col" { "Schedule" } th scope="col" { "Cron (UTC)" } th scope="col" { "Last tick" }
                        th scope="col" { "Next tick" } th scope="col" { "Skipped" } th scope="col" { "Action" }
                    } }
                    tbody { @for schedule in schedules { (row(schedule)) } }
                } }
            }
        }
    }
}

fn row(schedule: &ScheduleView) -> Markup {
    html! {
        tr {
            th.cell scope="row" { span.title { (plain(&schedule.name)) } }
            td data-label="Cron (UTC)" { code.nowrap { (plain(&schedule.cron)) } }
            td data-label="Last tick" {
                (time(schedule.last_tick))
                @if let Some(job) = schedule.last_job {
                    div.small { a href={ "/ui/admin/jobs/" (job) } aria-label={ "Last job of " (schedule.name) } { "Last job" } }
                }
            }
            td data-label="Next tick" {
                @match next_tick(&schedule.cron, schedule.last_tick) { Some(at) => (time(at)), None => span.soft { "–" } }
            }
            td data-label="Skipped" {
                span.num { (number(schedule.skipped)) }
                @if let Some(at) = schedule.last_skipped { div.soft.small { "last " (time(at)) } }
            }
            td {
                (post_button("/ui/admin/schedules/run", &[("name", &schedule.name)], "", Icon::Lecture,
                    &format!("Run {} now", schedule.name)))
            }
        }
    }
}

/// Enqueues the schedule's job now, and shows it.
pub(super) async fn run(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    request: Request,
) -> Result<Redirect, Problem> {
    let form = FormFields::read(request).await?;
    let name = form.text("name");
    let enqueued = operator_actions::run_schedule(&state, name, Actor::ui(session.caller.user_id)).await?;
    let enqueued = enqueued.ok_or_else(|| Problem::not_found("There is no such schedule."))?;
    Ok(Redirect::to(&format!("/ui/admin/jobs/{}", enqueued.id)))
}
