//! One job: its state, its attempts, what it works on, and the jobs before and after it.

use axum::extract::State;
use axum::response::{Redirect, Response};
use bedel_jobs::audit::Actor;
use bedel_jobs::pipeline::is_stage;
use bedel_queue::inspect::{self, Chain, JobState, JobView};
use maud::{Markup, html};
use serde_json::Value;

use super::parts::{job_table, number, plain, post_button, progress, state as state_badge};
use super::timeline::timeline;
use crate::api::body::Id;
use crate::api::operator_actions;
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section};
use crate::ui::live::topic;
use crate::ui::session::AdminSession;
use crate::ui::text::time;

/// Jobs of the chain on each side.
const CHAIN: i64 = 10;

/// Most characters shown of args and of a result.
const MAX_CHARS: usize = 8000;

/// The page.
pub(super) async fn show(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    Id(id): Id,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let job = inspect::job(&mut connection, id).await?.ok_or_else(no_job)?;
    let chain = match job.subject {
        Some(subject) => inspect::chain(&mut connection, subject, id, CHAIN).await?,
        None => Chain::default(),
    };
    drop(connection);
    let title = format!("Job {}", job.kind);
    let page = Page {
        title: &title,
        section: Section::Jobs,
        parent: Some(("/ui/admin/jobs", "Jobs")),
        actions: html! {},
        topics: vec![topic::job(id)],
        scripts: &[],
        body: body(&job, &chain),
    };
    Ok(page.render(&session))
}

/// Asks for itself when the job changes.
fn body(job: &JobView, chain: &Chain) -> Markup {
    html! {
        div #job.stack hx-get={ "/ui/admin/jobs/" (job.id) } hx-select="#job" hx-swap="outerHTML"
            hx-trigger={ "job-" (job.id) " from:#live" } {
            div.split {
                section.panel aria-labelledby="timeline-heading" {
                    header { h2 #timeline-heading { "Timeline" } (state_badge(job)) }
                    div.body { (progress(job)) (timeline(job)) }
                }
                section.panel aria-labelledby="facts-heading" {
                    header { h2 #facts-heading { "Facts" } }
                    div.body { (actions(job)) (facts(job)) }
                }
            }
            (data(job))
            (neighbours(chain))
        }
    }
}

/// What an operator may do in the job's state.
fn actions(job: &JobView) -> Markup {
    let is_live = matches!(job.state, JobState::Available | JobState::Running);
    let address = format!("/ui/admin/jobs/{}", job.id);
    html! {
        div.actions {
            @if !matches!(job.state, JobState::Running | JobState::Completed) {
                (post_button(&format!("{address}/retry"), &[], "main-action", Icon::Retry,
                    if is_live { "Run now" } else { "Retry" }))
            }
            @if is_live { (post_button(&format!("{address}/cancel"), &[], "danger", Icon::Cross, "Cancel")) }
        }
    }
}

fn facts(job: &JobView) -> Markup {
    html! {
        dl.facts {
            dt { "Id" } dd.mono { (job.id) }
            dt { "Kind" } dd { a href={ "/ui/admin/jobs?kind=" (encoded(&job.kind)) } { (plain(&job.kind)) } }
            dt { "Lane" } dd { a href={ "/ui/admin/jobs?queue=" (encoded(&job.queue)) } { (plain(&job.queue)) } }
            dt { "Priority" } dd { (job.priority) " of 1 (first) to 4 (last)" }
            @if let Some(subject) = job.subject {
                dt { @if is_stage(&job.kind) { "Lecture" } @else { "Subject" } }
                dd.mono { a href={ "/ui/admin/jobs?lecture_id=" (subject) } { (subject) } }
            }
            dt { @if job.state == JobState::Running { "Lease holder" } @else { "Last worker" } }
            dd { @match &job.worker {
                Some(worker) => a href={ "/ui/admin/jobs?worker=" (encoded(worker)) } { (plain(worker)) },
                None => span.soft { "none yet" },
            } }
            dt { "Attempts" } dd.num { (number(job.attempt.into())) }
            dt { "Errors" } dd.num { (job.errors) " of " (job.max_attempts) }
            dt { "Crashes" } dd.num { (job.crashes) " of " (job.max_crashes) }
            dt { "Enqueued" } dd { (time(job.created_at)) }
            @if job.state == JobState::Available { dt { "Due" } dd { (time(job.run_at)) } }
            @if job.finalized_at.is_none() { dt { "Gives up" } dd { (time(job.give_up_at)) } }
        }
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Args, checkpoint and result. They hold ids and counts, never credentials.
fn data(job: &JobView) -> Markup {
    html! {
        section.panel aria-labelledby="data-heading" {
            header { h2 #data-heading { "Data" } }
            div.body {
                h3 { "Args" }
                (json("Args", &job.args))
                @if let Some(checkpoint) = &job.checkpoint {
                    h3 { "Checkpoint" }
                    (scalars(checkpoint))
                }
                @if let Some(result) = &job.result {
                    h3 { "Result" }
                    (json("Result", result))
                }
            }
        }
    }
}

fn json(label: &str, value: &Value) -> Markup {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let is_cut = text.chars().nth(MAX_CHARS).is_some();
    let text: String = text.chars().take(MAX_CHARS).collect();
    html! {
        pre tabindex="0" role="region" aria-label=(label) { code { (plain(&text)) } }
        @if is_cut { p.soft.small { "Cut here: it is longer." } }
    }
}

/// The numbers and words of a checkpoint. Its inner parts are for the job alone.
fn scalars(checkpoint: &Value) -> Markup {
    let entries = checkpoint.as_object().into_iter().flatten();
    let entries = entries.filter(|(_, value)| !value.is_object() && !value.is_array());
    html! {
        @if checkpoint.is_object() {
            dl.facts { @for (name, value) in entries { dt { (plain(name)) } dd.num { (plain(&short(value))) } } }
        } @else {
            p.num { (plain(&short(checkpoint))) }
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.chars().take(200).collect()
}

/// The jobs of the same subject.
fn neighbours(chain: &Chain) -> Markup {
    let before: Vec<JobView> = chain.before.iter().rev().cloned().collect();
    html! {
        @for (id, title, jobs) in [("before", "Jobs before it", &before), ("after", "Jobs after it", &chain.after)] {
            @if !jobs.is_empty() {
                section.panel aria-labelledby=(id) {
                    header { h2 id=(id) { (title) } }
                    (job_table(title, jobs))
                }
            }
        }
    }
}

/// Makes the job due.
pub(super) async fn retry(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    Id(id): Id,
) -> Result<Redirect, Problem> {
    let due = operator_actions::retry_job(&state, id, Actor::ui(session.caller.user_id)).await?;
    Ok(Redirect::to(&format!("/ui/admin/jobs/{}", due.ok_or_else(no_job)?)))
}

/// Cancels the job.
pub(super) async fn cancel(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    Id(id): Id,
) -> Result<Redirect, Problem> {
    operator_actions::cancel_job(&state, id, Actor::ui(session.caller.user_id)).await?.ok_or_else(no_job)?;
    Ok(Redirect::to(&format!("/ui/admin/jobs/{id}")))
}

fn no_job() -> Problem {
    Problem::not_found("There is no such job. Ended jobs are deleted after their retention.")
}
