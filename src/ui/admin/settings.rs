//! The configuration of this process at a glance. Only chosen values appear, and none of them is a secret.

use axum::extract::State;
use axum::response::Response;
use bedel_queue::Policy;
use maud::{Markup, html};

use super::parts::{number, plain, span};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::badge::{Tone, badge};
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section};
use crate::ui::session::AdminSession;

const MIB: u64 = 1024 * 1024;

/// The page.
pub(super) async fn show(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let (server, database): (String, String) = sqlx::query_as(
        "-- settings::server\nSELECT current_setting('server_version'), current_database()::text",
    )
    .fetch_one(&mut *connection)
    .await?;
    drop(connection);
    let is_stored = matches!(state.environment.storage.installation().await, Ok(Some(_)));
    let page = Page {
        title: "Settings",
        section: Section::Settings,
        parent: None,
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body: html! {
            p.soft { "Of the process that serves this page. Workers and schedulers may be set otherwise. " code { "bedel doctor" } " checks a host." }
            section.panel aria-labelledby="process" {
                header { h2 #process { "Process" } }
                div.body { dl.facts {
                    dt { "Bedel" } dd { (env!("CARGO_PKG_VERSION")) }
                    dt { "PostgreSQL" } dd { (plain(&server)) ", database " (plain(&database)) }
                    dt { "Storage" } dd {
                        @if is_stored { (badge(Tone::Good, Icon::Check, "Answers")) }
                        @else { (badge(Tone::Bad, Icon::Cross, "Does not answer")) }
                    }
                } }
            }
            (values(&state))
            (kinds(&state.registry.policies()))
        },
    };
    Ok(page.render(&session))
}

/// Values with the variables that set them.
fn values(state: &ApiState) -> Markup {
    let settings = &state.environment.settings;
    let days = |days: u32| if days == 0 { "deleted at once".to_owned() } else { format!("{days} days") };
    let list = |values: &[String]| if values.is_empty() { "none".to_owned() } else { values.join(", ") };
    let rows = [
        ("Tenants of Panopto", "PANOPTO_TENANTS", list(&settings.tenants)),
        ("Largest recording to fetch", "BEDEL_MAX_SOURCE_MIB", mib(settings.fetch.max_bytes)),
        ("Disk space for downloads, per host", "BEDEL_MAX_DOWNLOADS_MIB", mib(settings.max_download_bytes)),
        (
            "A silent download is stalled after",
            "BEDEL_STALL_SECONDS",
            span(settings.fetch.stall_timeout.as_secs_f64()),
        ),
        ("Audio of failed lectures", "KEEP_FAILED_AUDIO_DAYS", days(settings.keep_failed_audio_days)),
        (
            "Jobs give up after",
            "GIVE_UP_AFTER_SECONDS",
            settings
                .give_up_after
                .map_or_else(|| "as each kind says".to_owned(), |after| span(after.as_secs_f64())),
        ),
        ("Terms of the catalogue", "CDCS_TERMS", list(&settings.catalogue.terms)),
        ("Largest audio upload", "BEDEL_MAX_AUDIO_MIB", mib(state.limits.max_audio_bytes)),
        ("Largest document", "BEDEL_MAX_DOCUMENT_MIB", mib(state.limits.max_document_bytes)),
    ];
    html! {
        section.panel aria-labelledby="values" {
            header { h2 #values { "Values" } }
            div.scroll { table.cards {
                caption.sr { "Settings with their variables" }
                thead { tr { th scope="col" { "Setting" } th scope="col" { "Value" } th scope="col" { "Variable" } } }
                tbody { @for (name, variable, value) in &rows { tr {
                    th.cell scope="row" { (name) }
                    td data-label="Value" { (plain(value)) }
                    td data-label="Variable" { code { (variable) } }
                } } }
            } }
        }
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", number(i64::try_from(bytes / MIB).unwrap_or(i64::MAX)))
}

fn kinds(policies: &[(&'static str, Policy)]) -> Markup {
    html! {
        section.panel aria-labelledby="kinds" {
            header { h2 #kinds { "Kinds of jobs" } }
            div.scroll { table.cards {
                caption.sr { "Policies of the kinds" }
                thead { tr {
                    th scope="col" { "Kind" } th scope="col" { "Lane" } th.right scope="col" { "Slots" }
                    th.right scope="col" { "Attempts" } th.right scope="col" { "Crashes" } th.right scope="col" { "Timeout" }
                    th.right scope="col" { "Gives up after" }
                } }
                tbody { @for (kind, policy) in policies { tr {
                    th.cell scope="row" { (kind) }
                    td data-label="Lane" { (policy.queue) }
                    td.right data-label="Slots" { (policy.slots) }
                    td.right data-label="Attempts" { (policy.max_attempts) }
                    td.right data-label="Crashes" { (policy.max_crashes) }
                    td.right data-label="Timeout" { (span(policy.timeout.as_secs_f64())) }
                    td.right data-label="Gives up after" { (span(policy.give_up_after.as_secs_f64())) }
                } } }
            } }
        }
    }
}
