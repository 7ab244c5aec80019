//! Bulk operations: confirm, start, watch, stop.

use axum::extract::{Request, State};
use axum::response::{Redirect, Response};
use bedel_jobs::audit::Actor;
use bedel_jobs::bulk::{self, BulkAction, BulkError, BulkOperation, Preview, Stopped};
use maud::{Markup, html};

use super::conditions::Conditions;
use super::parts::{job_table, number, plain, post_button};
use crate::api::body::Id;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::ui::badge::{Tone, badge, working};
use crate::ui::form::FormFields;
use crate::ui::icons::{Icon, icon};
use crate::ui::layout::{Page, Section, empty};
use crate::ui::live::topic;
use crate::ui::session::AdminSession;
use crate::ui::text::time;

/// Operations of the list.
const LISTED: i64 = 50;

/// The action of a form.
fn action(name: &str, priority: &str) -> Result<BulkAction, Problem> {
    // The form always sends a priority; only one action uses it.
    let priority = priority.parse().ok().filter(|_| name == "reprioritise");
    BulkAction::new(name, priority).map_err(|reason| Problem::bad_request(format!("Action: {reason}.")))
}

/// What the action does, for a heading or a button.
fn verb(action: BulkAction) -> String {
    match action {
        BulkAction::Retry => "Retry".to_owned(),
        BulkAction::Cancel => "Cancel".to_owned(),
        BulkAction::Delete => "Delete".to_owned(),
        BulkAction::Reprioritise(priority) => format!("Set priority {priority} for"),
    }
}

/// Which of the matching jobs the action changes.
fn effect(action: BulkAction) -> &'static str {
    match action {
        BulkAction::Retry => "Waiting, discarded and cancelled jobs become due now. Others stay as they are.",
        BulkAction::Cancel => {
            "Waiting and running jobs are cancelled, and their lectures fail. Others stay as they are."
        }
        BulkAction::Delete => "Ended jobs are deleted with their history. Others stay as they are.",
        BulkAction::Reprioritise(_) => "Waiting jobs get this priority. Others stay as they are.",
    }
}

/// The page that shows how many jobs match, and asks.
pub(super) async fn confirm(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let conditions = Conditions::from_query(&mut query);
    let name: String = query.parsed("action", "choice", "").unwrap_or_default();
    let priority: String = query.parsed("priority", "range", "").unwrap_or_default();
    query.finish()?;
    let action = action(&name, &priority)?;
    let filter = conditions.filter()?;
    let mut connection = state.acquire().await?;
    let filter = filter.resolve(&mut connection).await?;
    let preview = bulk::preview(&mut connection, &filter).await?;
    drop(connection);
    let list = format!("/ui/admin/jobs?{}", conditions.query(&[]));
    let title = format!("{} {}?", verb(action), jobs(&preview));
    let page = Page {
        title: &title,
        section: Section::Jobs,
        parent: Some((&list, "Jobs")),
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body: html! {
            section.panel aria-label="Confirm" { div.body {
                p { (effect(action)) " Jobs enqueued after the start are left alone. The operation can be stopped, and is recorded in the audit log." }
                (conditions.words())
                form.actions method="post" action="/ui/admin/jobs/bulk" {
                    (conditions.hidden())
                    input type="hidden" name="action" value=(name);
                    input type="hidden" name="priority" value=(priority);
                    button class={ "button " (if action == BulkAction::Delete { "danger" } else { "main-action" }) } {
                        (verb(action)) " " (jobs(&preview))
                    }
                    a.button href=(list) { "Back" }
                }
            } }
            section.panel aria-labelledby="sample" {
                header { h2 #sample { "The newest of them" } }
                (job_table("Some of the matching jobs", &preview.sample))
            }
        },
    };
    Ok(page.render(&session))
}

fn jobs(preview: &Preview) -> String {
    match (preview.count.jobs, preview.count.more) {
        (1, false) => "1 job".to_owned(),
        (count, more) => format!("{}{} jobs", number(count), if more { "+" } else { "" }),
    }
}

/// Starts an operation.
pub(super) async fn start(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    request: Request,
) -> Result<Redirect, Problem> {
    let form = FormFields::read(request).await?;
    let action = action(form.text("action"), form.text("priority"))?;
    let filter = Conditions::from_form(&form).filter()?;
    let mut tx = state.begin().await?;
    let selection = filter.select(&mut tx).await?;
    let started = bulk::start(&mut tx, action, &selection, Actor::ui(session.caller.user_id)).await;
    let operation = started.map_err(|error| match error {
        BulkError::EmptyFilter => {
            Problem::bad_request("Set at least one condition: this would change every job.")
        }
        BulkError::Database(error) => error.into(),
    })?;
    tx.commit().await?;
    state.queue.wake();
    Ok(Redirect::to(&format!("/ui/admin/bulk/{}", operation.id)))
}

/// Stops an operation.
pub(super) async fn stop(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    Id(id): Id,
) -> Result<Redirect, Problem> {
    let mut tx = state.begin().await?;
    if bulk::stop(&mut tx, &state.registry, id, Actor::ui(session.caller.user_id)).await? == Stopped::NotFound
    {
        return Err(no_operation());
    }
    tx.commit().await?;
    state.queue.announce_cancellation();
    Ok(Redirect::to(&format!("/ui/admin/bulk/{id}")))
}

/// One operation.
pub(super) async fn show(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    Id(id): Id,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let operation = bulk::status(&mut connection, id).await?.ok_or_else(no_operation)?;
    drop(connection);
    let page = Page {
        title: "Bulk operation",
        section: Section::Jobs,
        parent: Some(("/ui/admin/bulk", "Bulk operations")),
        actions: html! {},
        topics: vec![topic::job(operation.job_id)],
        scripts: &[],
        body: progress(&operation),
    };
    Ok(page.render(&session))
}

/// Asks for itself until the operation has ended.
fn progress(operation: &BulkOperation) -> Markup {
    let BulkOperation { id, job_id, total, changed, refused, .. } = operation;
    let trigger = operation.ended_at.is_none().then(|| format!("job-{job_id} from:#live, every 2s"));
    let total_words = format!("{}{}", number(*total), if operation.total_is_capped { "+" } else { "" });
    html! {
        section #operation.panel aria-label="Progress" hx-get={ "/ui/admin/bulk/" (id) } hx-select="#operation"
            hx-swap="outerHTML" hx-trigger=[trigger] {
            header { h2 { (plain(&operation.action)) } (outcome(operation)) }
            div.body {
                @if operation.ended_at.is_none() && !operation.total_is_capped && *total > 0 {
                    progress max=(total) value=((changed + refused).min(*total)) aria-label="Progress" {}
                }
                dl.facts {
                    dt { "Matching at the start" } dd.num { (total_words) }
                    dt { "Changed" } dd.num { (number(*changed)) }
                    dt { "Not applicable" } dd.num { (number(*refused)) }
                    @if let Some(priority) = operation.priority { dt { "Priority" } dd { (priority) } }
                    dt { "Filter" } dd { code { (plain(&operation.filter.to_string())) } }
                    dt { "Started" } dd { (time(operation.created_at)) " by " (who(operation)) }
                    @if let Some(at) = operation.ended_at { dt { "Ended" } dd { (time(at)) } }
                    dt { "Job" } dd { a.mono href={ "/ui/admin/jobs/" (job_id) } { (job_id) } }
                }
                @if operation.ended_at.is_none() {
                    div.actions {
                        (post_button(&format!("/ui/admin/bulk/{id}/stop"), &[], "danger", Icon::Pause, "Stop"))
                        noscript { a.button href={ "/ui/admin/bulk/" (id) } { (icon(Icon::Retry)) "Refresh" } }
                    }
                }
            }
        }
    }
}

fn who(operation: &BulkOperation) -> Markup {
    match operation.user_id {
        Some(user_id) => html! { span.mono { (user_id) } },
        None => html! { "the command line" },
    }
}

fn outcome(operation: &BulkOperation) -> Markup {
    match operation.outcome.as_deref() {
        None => working("Working"),
        Some("done") => badge(Tone::Good, Icon::Check, "Done"),
        Some("stopped") => badge(Tone::Warn, Icon::Pause, "Stopped"),
        Some(_) => badge(Tone::Bad, Icon::Cross, "Failed"),
    }
}

/// The newest operations.
pub(super) async fn list(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let operations = bulk::newest(&mut connection, LISTED).await?;
    drop(connection);
    let page = Page {
        title: "Bulk operations",
        section: Section::Jobs,
        parent: Some(("/ui/admin/jobs", "Jobs")),
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body: html! { section.panel aria-label="Bulk operations" {
            @if operations.is_empty() {
                (empty(Icon::Layers, "No bulk operation yet", "Filter the jobs, then change all that match.", html! {
                    a.button href="/ui/admin/jobs" { "Show jobs" }
                }))
            } @else {
                div.scroll { table.cards {
                    caption.sr { "Bulk operations, newest first" }
                    thead { tr {
                        th scope="col" { "Operation" } th scope="col" { "Outcome" } th scope="col" { "Changed" }
                        th scope="col" { "Started" } th scope="col" { "By" }
                    } }
                    tbody { @for operation in &operations { tr {
                        th.cell scope="row" { a.title href={ "/ui/admin/bulk/" (operation.id) } { (plain(&operation.action)) } }
                        td { (outcome(operation)) }
                        td.num data-label="Changed" { (number(operation.changed)) " of " (number(operation.total)) }
                        td data-label="Started" { (time(operation.created_at)) }
                        td data-label="By" { (who(operation)) }
                    } } }
                } }
            }
        } },
    };
    Ok(page.render(&session))
}

fn no_operation() -> Problem {
    Problem::not_found("There is no such bulk operation; old ones are deleted.")
}
