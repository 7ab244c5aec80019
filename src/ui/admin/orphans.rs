//! Orphans: look for them first, read the report, then delete them.

use axum::extract::{Request, State};
use axum::response::{Redirect, Response};
use bedel_jobs::audit::Actor;
use bedel_jobs::operations;
use bedel_jobs::registry::new_job;
use bedel_queue::inspect::{self, Filter, JobState, JobView};
use maud::{Markup, html};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::parts::{job_table, number, plain, post_button, state as state_badge};
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::ui::errors::alert;
use crate::ui::form::FormFields;
use crate::ui::icons::{Icon, icon};
use crate::ui::layout::{Page, Section};
use crate::ui::live::topic;
use crate::ui::session::AdminSession;
use crate::ui::text::size;

/// The kind of the jobs.
const KIND: &str = "cleanup-orphans";

/// Earlier runs shown.
const EARLIER: i64 = 10;

/// Numbers of a report with their names here.
const COUNTS: [(&str, &str); 9] = [
    ("listed", "Files listed"),
    ("orphans", "Orphaned files"),
    ("unknown", "Files with unknown names, kept"),
    ("lectures_removed", "Lectures without a user"),
    ("audio_expired", "Expired audio of failed lectures"),
    ("lectures_restarted", "Lectures restarted"),
    ("documents_failed", "Documents without their file"),
    ("missing", "Missing files of lectures"),
    ("files_deleted", "Files deleted"),
];

/// The page. `run` in the address: the job whose report to show.
pub(super) async fn show(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let run: Option<Uuid> = query.parsed("run", "uuid", "this must be a job's id");
    query.finish()?;
    let mut connection = state.acquire().await?;
    let job = find_run(&mut connection, run).await?;
    let filter = Filter { kind: Some(KIND.to_owned()), limit: EARLIER, ..Filter::default() };
    let earlier = inspect::list(&mut connection, &filter).await?;
    drop(connection);
    let page = Page {
        title: "Orphans",
        section: Section::Orphans,
        parent: None,
        actions: html! {},
        topics: job.iter().map(|job| topic::job(job.id)).collect(),
        scripts: &[],
        body: html! {
            p.soft {
                "Orphans are files that no lecture or document refers to, and lectures that no user is linked to. "
                "A dry run counts them and changes nothing."
            }
            (post_button("/ui/admin/orphans", &[("dry_run", "true")], "main-action", Icon::Search, "Start a dry run"))
            @if let Some(job) = &job { (report(job)) }
            @if !earlier.is_empty() {
                section.panel aria-labelledby="earlier" {
                    header { h2 #earlier { "Latest clean-ups" } }
                    (job_table("Latest clean-ups", &earlier))
                }
            }
        },
    };
    Ok(page.render(&session))
}

/// The clean-up or dry run with this id.
async fn find_run(connection: &mut PgConnection, id: Option<Uuid>) -> Result<Option<JobView>, sqlx::Error> {
    let Some(id) = id else { return Ok(None) };
    Ok(inspect::job(connection, id).await?.filter(|job| job.kind == KIND))
}

/// True for a dry run.
fn is_dry(job: &JobView) -> bool {
    job.args["dry_run"] == true
}

/// Asks for itself when the job changes.
fn report(job: &JobView) -> Markup {
    let title = if is_dry(job) { "Dry run" } else { "Clean-up" };
    html! {
        section #report.panel aria-labelledby="report-heading" hx-get={ "/ui/admin/orphans?run=" (job.id) }
            hx-select="#report" hx-swap="outerHTML" hx-trigger={ "job-" (job.id) " from:#live" } {
            header { h2 #report-heading { (title) } (state_badge(job)) }
            div.body {
                p { a.mono href={ "/ui/admin/jobs/" (job.id) } { (job.id) } }
                @if let Some(reason) = job.reason.as_ref().filter(|_| job.state != JobState::Completed) { (alert(reason)) }
                @if let Some(result) = &job.result { (numbers(result)) }
                @else { p.soft role="status" { "The report appears here when the job has ended." } }
                @if let Some(count) = deletable(job) {
                    a.button.danger href={ "/ui/admin/orphans/confirm?run=" (job.id) } { (icon(Icon::Trash)) "Clean up " (number(count)) " orphans…" }
                }
            }
        }
    }
}

/// Orphans found by a finished dry run, if there are any.
fn deletable(job: &JobView) -> Option<i64> {
    let result = job.result.as_ref().filter(|_| is_dry(job))?;
    let count = |name: &str| result[name].as_i64().unwrap_or_default();
    let found = count("orphans") + count("lectures_removed") + count("audio_expired");
    (found > 0 && result["refused"].is_null()).then_some(found)
}

fn numbers(report: &Value) -> Markup {
    html! {
        @match report["refused"].as_str() {
            Some("too-many") => (alert("Nothing is deleted: too many of the files are orphans. Check that this is the right storage and database.")),
            Some(_) => (alert("Nothing is deleted: the storage belongs to another database. Run bedel doctor.")),
            None => {},
        }
        dl.facts {
            @for (name, label) in COUNTS {
                @if let Some(count) = report[name].as_i64() { dt { (label) } dd.num { (number(count)) } }
            }
            @if let Some(bytes) = report["bytes_deleted"].as_i64() { dt { "Bytes deleted" } dd.num { (size(bytes)) } }
        }
        @if let Some(examples) = report["examples"].as_array().filter(|examples| !examples.is_empty()) {
            details { summary { "Examples" } ul { @for example in examples {
                li { code { (plain(example.as_str().unwrap_or_default())) } }
            } } }
        }
    }
}

/// The page that asks before the real run.
pub(super) async fn confirm(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let run: Option<Uuid> = query.parsed("run", "uuid", "this must be a job's id");
    query.finish()?;
    let mut connection = state.acquire().await?;
    let job = find_run(&mut connection, run).await?;
    drop(connection);
    let job = job.ok_or_else(|| Problem::not_found("There is no such dry run. Start another."))?;
    let count = deletable(&job).ok_or_else(|| Problem::conflict("This run found nothing to clean up."))?;
    let title = format!("Clean up {} orphans?", number(count));
    let back = format!("/ui/admin/orphans?run={}", job.id);
    let page = Page {
        title: &title,
        section: Section::Orphans,
        parent: Some((&back, "Dry run")),
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body: html! { section.panel aria-label="Confirm" { div.body {
            p { "The clean-up looks again and deletes what is an orphan then. Deleted files cannot be restored." }
            @if let Some(result) = &job.result { (numbers(result)) }
            div.actions {
                (post_button("/ui/admin/orphans", &[("dry_run", "false")], "danger", Icon::Trash, "Clean up now"))
                a.button href=(back) { "Back" }
            }
        } } },
    };
    Ok(page.render(&session))
}

/// Enqueues a run. Anything but an explicit `false` is a dry run.
pub(super) async fn start(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    request: Request,
) -> Result<Redirect, Problem> {
    let is_dry = FormFields::read(request).await?.text("dry_run") != "false";
    let job = new_job(&state.registry, KIND, json!({ "dry_run": is_dry }));
    let job = job.expect("the kind is registered, and its args are these");
    let mut tx = state.begin().await?;
    let enqueued = operations::enqueue_job(&mut tx, KIND, &job, Actor::ui(session.caller.user_id)).await?;
    tx.commit().await?;
    state.queue.wake();
    Ok(Redirect::to(&format!("/ui/admin/orphans?run={}", enqueued.id)))
}
