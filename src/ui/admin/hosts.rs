//! Hosts, and receivers of webhooks, that fail or are down.

use axum::extract::State;
use axum::response::Response;
use bedel_jobs::webhook::receiver_group::ReceiverGroup;
use bedel_queue::BreakerView;
use maud::{Markup, html};

use super::parts::{number, plain, remedy};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::ui::badge::{Tone, badge};
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section, empty};
use crate::ui::session::AdminSession;
use crate::ui::text::time;

/// Hosts and receivers of the page: those that are down longest come first.
const SHOWN: usize = 100;

/// The page.
pub(super) async fn list(
    State(state): State<ApiState>,
    AdminSession(session): AdminSession,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let hosts = bedel_queue::breakers(&mut connection).await?;
    drop(connection);
    let page = Page {
        title: "Hosts",
        section: Section::Hosts,
        parent: None,
        actions: html! {},
        topics: vec!["overview".to_owned()],
        scripts: &[],
        body: html! {
            p.soft { "While a host, or the receiver of a webhook, is down its jobs wait. One job at a time probes it, and all continue once it answers." }
            (table(&hosts))
        },
    };
    Ok(page.render(&session))
}

fn table(hosts: &[BreakerView]) -> Markup {
    html! {
        section #hosts.panel aria-label="Hosts" hx-get="/ui/admin/hosts" hx-select="#hosts" hx-swap="outerHTML"
            hx-trigger="overview from:#live" {
            @if hosts.is_empty() {
                (empty(Icon::Globe, "All hosts answer", "No host has failed in the last ten minutes.", html! {}))
            } @else {
                div.scroll { table.cards {
                    caption.sr { "Hosts with failures, those that are down first" }
                    thead { tr {
                        th scope="col" { "Host" } th scope="col" { "State" } th scope="col" { "Since" }
                        th scope="col" { "Next probe" } th scope="col" { "Latest failure" }
                    } }
                    tbody { @for host in hosts.iter().take(SHOWN) { (row(host)) } }
                } }
                @if hosts.len() > SHOWN { p.more.soft { (hosts.len() - SHOWN) " more hosts are not shown." } }
            }
        }
    }
}

/// What the jobs wait for.
fn name(group: &str) -> Markup {
    match ReceiverGroup::parse(group) {
        None => plain(group),
        Some(ReceiverGroup::Webhook(id)) => html! { "Receiver of the webhook " span.mono { (id) } },
        Some(ReceiverGroup::Callbacks { user_id, receiver }) => html! {
            "Callbacks of " span.mono { (user_id) } " to " (plain(&receiver))
        },
    }
}

fn row(host: &BreakerView) -> Markup {
    let encoded: String = url::form_urlencoded::byte_serialize(host.group_key.as_bytes()).collect();
    html! {
        tr {
            th.cell scope="row" {
                a.title href={ "/ui/admin/jobs?host=" (encoded) } { (name(&host.group_key)) }
                @if let Some(ReceiverGroup::Webhook(id)) = ReceiverGroup::parse(&host.group_key) {
                    div.small { a href={ "/ui/webhooks/" (id) } { "Show the webhook" } }
                }
            }
            td {
                @if host.opened_at.is_some() { (badge(Tone::Bad, Icon::Cross, "Down")) }
                @else { (badge(Tone::Warn, Icon::Alert, "Failing")) }
                div.soft.small { (number(host.failures.into())) " failures, " (number(host.probes.into())) " probes" }
            }
            td data-label="Since" { (time(host.opened_at.unwrap_or(host.failed_at))) }
            td data-label="Next probe" { @match host.probe_at { Some(at) => (time(at)), None => span.soft { "–" } } }
            td {
                code { (plain(&host.class)) } " " span.message { (plain(&host.message)) }
                div.soft.small { (time(host.failed_at)) }
                @if let Some(remedy) = remedy(&host.class) { p.soft.small { "What to do: " (remedy) "." } }
            }
        }
    }
}
