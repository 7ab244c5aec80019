//! Worker processes, and what each runs now.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use bedel_queue::WorkerView;
use bedel_queue::inspect::{self, Filter, JobState, JobView};
use maud::{Markup, html};

use super::parts::{plain, progress, span};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::badge::{Tone, badge};
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section, empty};
use crate::ui::session::AdminSession;
use crate::ui::text::time;

/// Running jobs shown.
const JOBS: i64 = 200;

/// A worker that is silent for longer looks dead. Workers beat every 3 s, and are dead after 10 s.
const SILENT_SECONDS: f64 = 10.0;

/// The page.
pub(super) async fn list(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let workers = bedel_queue::workers(&mut connection).await?;
    let running = Filter { state: Some(JobState::Running), limit: JOBS, ..Filter::default() };
    let jobs = inspect::list(&mut connection, &running).await?;
    drop(connection);
    let page = Page {
        title: "Workers",
        section: Section::Workers,
        parent: None,
        actions: html! {},
        topics: vec!["workers".to_owned()],
        scripts: &[],
        body: table(&workers, &jobs),
    };
    Ok(page.render(&session))
}

/// Asks for itself when a worker comes or goes, and when a job starts, advances or ends.
fn table(workers: &[WorkerView], jobs: &[JobView]) -> Markup {
    let mut jobs_of: BTreeMap<&str, Vec<&JobView>> = BTreeMap::new();
    for job in jobs {
        jobs_of.entry(job.worker.as_deref().unwrap_or_default()).or_default().push(job);
    }
    html! {
        section #workers.panel aria-label="Workers" hx-get="/ui/admin/workers" hx-select="#workers" hx-swap="outerHTML"
            hx-trigger="workers from:#live" {
            @if workers.is_empty() {
                (empty(Icon::Cpu, "No worker runs", "Jobs wait until a worker starts: run bedel worker.", html! {}))
            } @else {
                div.scroll { table.cards {
                    caption.sr { "Workers, the oldest first" }
                    thead { tr {
                        th scope="col" { "Worker" } th scope="col" { "State" } th scope="col" { "Started" }
                        th scope="col" { "Runs now" }
                    } }
                    tbody { @for worker in workers {
                        (row(worker, jobs_of.get(worker.name.as_str()).map_or(&[][..], Vec::as_slice)))
                    } }
                } }
            }
        }
    }
}

fn row(worker: &WorkerView, jobs: &[&JobView]) -> Markup {
    html! {
        tr {
            th.cell scope="row" {
                span.title { (plain(&worker.name)) }
                div.soft.small.mono { (worker.id) }
            }
            td {
                @if worker.silent_seconds > SILENT_SECONDS { (badge(Tone::Bad, Icon::Alert, "Silent")) }
                @else { (badge(Tone::Good, Icon::Check, "Alive")) }
                div.soft.small { "last beat " (span(worker.silent_seconds)) " ago" }
            }
            td data-label="Started" { (time(worker.started_at)) }
            td data-label="Runs now" {
                @if jobs.is_empty() { span.soft { "nothing" } }
                @for job in jobs {
                    div.state {
                        a href={ "/ui/admin/jobs/" (job.id) } { (plain(&job.kind)) }
                        (progress(job))
                    }
                }
            }
        }
    }
}
