//! The list of jobs, with filters in its address.

use axum::extract::State;
use axum::response::Response;
use bedel_queue::inspect::{self, Count, Filter, JobView};
use maud::{Markup, html};
use uuid::Uuid;

use super::conditions::Conditions;
use super::parts::{job_table, number};
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::ui::errors::alert;
use crate::ui::icons::{Icon, icon};
use crate::ui::layout::{Page, Section, empty};
use crate::ui::session::AdminSession;

/// Jobs of a page.
const LIMIT: i64 = 25;

/// The count stops here: more would make the page slow, and a preview counts further.
const COUNTED: i64 = 1000;

/// What the list shows.
struct Listed {
    jobs: Vec<JobView>,
    count: Count,
    /// The last job, if more may follow.
    next: Option<Uuid>,
}

/// The list.
pub(super) async fn list(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let conditions = Conditions::from_query(&mut query);
    let after: Option<Uuid> = query.parsed("cursor", "cursor", "this must be the end of the page before");
    query.finish()?;
    let listed = read(&state, &conditions, after).await;
    let (listed, problem) = match listed {
        Ok(listed) => (Some(listed), None),
        Err(problem) if problem.status.is_client_error() => (None, Some(problem)),
        Err(problem) => return Err(problem),
    };
    let cursor = after.map(|id| id.to_string());
    let address = conditions.query(&cursor.iter().map(|id| ("cursor", id.as_str())).collect::<Vec<_>>());
    let body = html! {
        @if let Some(problem) = &problem { (alert(&problem.detail)) }
        (conditions.form(&state, problem))
        @if let Some(listed) = &listed {
            (table(listed, &conditions, &address, after.is_some()))
            (bulk(&conditions, listed))
        }
    };
    let page = Page {
        title: "Jobs",
        section: Section::Jobs,
        parent: None,
        actions: html! { a.button href="/ui/admin/bulk" { (icon(Icon::Layers)) "Bulk operations" } },
        topics: vec!["jobs".to_owned()],
        scripts: &[],
        body,
    };
    Ok(page.render(&session))
}

async fn read(state: &ApiState, conditions: &Conditions, after: Option<Uuid>) -> Result<Listed, Problem> {
    let filter = conditions.filter()?;
    let mut connection = state.acquire().await?;
    let filter = filter.resolve(&mut connection).await?;
    let count = inspect::count(&mut connection, &filter, COUNTED).await?;
    let mut jobs = inspect::list(&mut connection, &Filter { after, limit: LIMIT + 1, ..filter }).await?;
    let next = jobs.get(usize::try_from(LIMIT).unwrap_or(usize::MAX)).is_some();
    jobs.truncate(usize::try_from(LIMIT).unwrap_or(usize::MAX));
    let next = jobs.last().filter(|_| next).map(|job| job.id);
    Ok(Listed { jobs, count, next })
}

/// A count in words.
fn words(count: Count) -> String {
    match (count.jobs, count.more) {
        (1, false) => "1 job".to_owned(),
        (jobs, false) => format!("{} jobs", number(jobs)),
        (0, true) => "None among the jobs that were read; there are more".to_owned(),
        (jobs, true) => format!("{}+ jobs", number(jobs)),
    }
}

/// Asks for itself when a job was added or ended.
fn table(listed: &Listed, conditions: &Conditions, address: &str, is_later: bool) -> Markup {
    html! {
        section #jobs.panel aria-label="Jobs" hx-get={ "/ui/admin/jobs?" (address) } hx-select="#jobs" hx-swap="outerHTML"
            hx-trigger="jobs from:#live" {
            header { h2.num { (words(listed.count)) } }
            @if listed.jobs.is_empty() {
                (empty(Icon::List, "No job matches", "Change or clear the filter. Ended jobs are deleted after their retention.", html! {
                    a.button href="/ui/admin/jobs" { "Show all jobs" }
                }))
            } @else {
                (job_table("Jobs, newest first", &listed.jobs))
            }
            @if is_later || listed.next.is_some() {
                nav.more.actions aria-label="Pages" {
                    @if is_later { a.button href={ "/ui/admin/jobs?" (conditions.query(&[])) } { "First page" } }
                    @if let Some(next) = listed.next {
                        a.button rel="next" href={ "/ui/admin/jobs?" (conditions.query(&[("cursor", &next.to_string())])) } { "Next page" }
                    }
                }
            }
        }
    }
}

/// Actions on all jobs that match.
fn bulk(conditions: &Conditions, listed: &Listed) -> Markup {
    html! {
        section.panel aria-labelledby="bulk-heading" {
            header { h2 #bulk-heading { "Change all jobs that match" } }
            div.body {
                @if conditions.is_empty() {
                    p.soft { "Set at least one condition first. You then see how many jobs match, and confirm." }
                } @else if listed.jobs.is_empty() {
                    p.soft { "No job matches." }
                } @else {
                    form.actions method="get" action="/ui/admin/jobs/bulk" {
                        (conditions.hidden())
                        button.button name="action" value="retry" { (icon(Icon::Retry)) "Retry…" }
                        button.button name="action" value="cancel" { (icon(Icon::Cross)) "Cancel…" }
                        button.button.danger name="action" value="delete" { (icon(Icon::Trash)) "Delete…" }
                        label.nowrap for="priority" { "Priority" }
                        select #priority.short name="priority" {
                            @for (value, name) in [("1", "1, first"), ("2", "2, usual"), ("3", "3, later"), ("4", "4, last")] {
                                option value=(value) selected[value == "2"] { (name) }
                            }
                        }
                        button.button name="action" value="reprioritise" { "Set priority…" }
                    }
                }
            }
        }
    }
}
