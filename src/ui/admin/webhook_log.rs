//! One webhook, or the callbacks of a user's submissions, with the log of their messages.

use axum::extract::{Path, State};
use axum::response::{Redirect, Response};
use bedel_jobs::webhook::callback;
use bedel_jobs::webhook::message::{self, MessageView, Owner};
use bedel_jobs::webhook::subscription;
use maud::{Markup, html};
use uuid::Uuid;

use super::parts::{plain, post_button};
use super::webhooks::{buttons, is_off, secret_page, state_of};
use crate::api::body::Id;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::api::webhooks::actions::{self, By};
use crate::api::webhooks::no_webhook;
use crate::ui::badge::{Tone, badge, working};
use crate::ui::icons::Icon;
use crate::ui::layout::{Page, Section};
use crate::ui::session::Session;
use crate::ui::text::time;

/// Messages of a page.
const LIMIT: i64 = 25;

/// Attempts shown of a message: the newest.
const ATTEMPTS: usize = 5;

fn cursor(query: &mut QueryFields) -> Option<Uuid> {
    query.parsed("cursor", "cursor", "this must be the end of the page before")
}

/// One webhook.
pub(super) async fn show(
    State(state): State<ApiState>,
    session: Session,
    Id(id): Id,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let before = cursor(&mut query);
    query.finish()?;
    let mut connection = state.acquire().await?;
    let found = subscription::read(&mut connection, session.caller.limited_to(), id).await?;
    let webhook = found.ok_or_else(no_webhook)?;
    let messages = message::page(&mut connection, Owner::Webhook(id), before, LIMIT).await?;
    drop(connection);
    let address = format!("/ui/webhooks/{id}");
    let page = Page {
        title: "Webhook",
        section: Section::Webhooks,
        parent: Some(("/ui/webhooks", "Webhooks")),
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body: html! {
            section.panel aria-label="Webhook" { div.body {
                dl.facts {
                    dt { "Receiver" } dd { (plain(&webhook.url)) }
                    dt { "State" } dd { (state_of(&webhook)) }
                    dt { "Events" } dd { (webhook.events.join(", ")) }
                    @if let Some(at) = webhook.previous_secret_expires_at { dt { "Old secret" } dd { "signs too until " (time(at)) } }
                }
                (buttons(&webhook))
            } }
            (log(&messages, &address, before.is_some()))
        },
    };
    Ok(page.render(&session))
}

/// The callbacks of the user's submissions.
pub(super) async fn callbacks(
    State(state): State<ApiState>,
    session: Session,
    mut query: QueryFields,
) -> Result<Response, Problem> {
    let before = cursor(&mut query);
    query.finish()?;
    let mut connection = state.acquire().await?;
    let messages =
        message::page(&mut connection, Owner::Callbacks(session.caller.user_id), before, LIMIT).await?;
    drop(connection);
    let page = Page {
        title: "Callbacks",
        section: Section::Webhooks,
        parent: Some(("/ui/webhooks", "Webhooks")),
        actions: post_button("/ui/webhooks/callbacks/rotate", &[], "", Icon::Retry, "New secret"),
        topics: Vec::new(),
        scripts: &[],
        body: html! {
            p.soft { "Messages to the " code { "callback_url" } " of your submissions. One secret signs all of them." }
            (log(&messages, "/ui/webhooks/callbacks", before.is_some()))
        },
    };
    Ok(page.render(&session))
}

/// Replaces the secret of the user's callbacks.
pub(super) async fn rotate_callbacks(
    State(state): State<ApiState>,
    session: Session,
) -> Result<Response, Problem> {
    let mut tx = state.begin().await?;
    let (secret, _) = callback::rotate(&mut tx, session.caller.user_id).await?;
    tx.commit().await?;
    Ok(secret_page(&session, "/ui/webhooks/callbacks", &secret, true))
}

fn log(messages: &[MessageView], address: &str, is_later: bool) -> Markup {
    let next =
        messages.last().filter(|_| i64::try_from(messages.len()) == Ok(LIMIT)).map(|message| message.id);
    let trigger =
        messages.iter().any(|message| message.state == "pending" && !is_later).then_some("every 2s");
    html! {
        section #log.panel aria-labelledby="log-heading" hx-get=(address) hx-select="#log" hx-swap="outerHTML"
            hx-trigger=[trigger] {
            header { h2 #log-heading { "Messages" } }
            @if messages.is_empty() { div.body { p.soft { "No message yet. Messages are kept for 30 days." } } }
            @else {
                div.scroll { table.cards {
                    caption.sr { "Messages, newest first" }
                    thead { tr {
                        th scope="col" { "Event" } th scope="col" { "State" } th scope="col" { "Attempts" }
                        th scope="col" { "Action" }
                    } }
                    tbody { @for message in messages { (row(message, address)) } }
                } }
            }
            @if is_later || next.is_some() {
                nav.more.actions aria-label="Pages" {
                    @if is_later { a.button href=(address) { "First page" } }
                    @if let Some(next) = next { a.button rel="next" href={ (address) "?cursor=" (next) } { "Next page" } }
                }
            }
        }
    }
}

fn row(message: &MessageView, address: &str) -> Markup {
    html! {
        tr {
            th.cell scope="row" {
                span.title { (plain(&message.event)) }
                div.soft.small { (time(message.created_at)) }
                div.soft.small.mono { (message.id) }
                @if let Some(url) = &message.callback_url { div.small { (plain(url)) } }
            }
            td {
                @match message.state.as_str() {
                    "delivered" => (badge(Tone::Good, Icon::Check, "Delivered")),
                    "failed" => (badge(Tone::Bad, Icon::Cross, "Failed")),
                    _ => (working("Pending")),
                }
                @if let Some(at) = message.next_attempt_at { div.soft.small { "next attempt " (time(at)) } }
            }
            td data-label="Attempts" {
                @if message.attempts.is_empty() { span.soft { "none yet" } }
                @for attempt in message.attempts.iter().take(ATTEMPTS) {
                    div.small {
                        (time(attempt.attempted_at)) ": "
                        @if let Some(status) = attempt.status { "status " (status) } @else { "no answer" }
                        ", " (attempt.duration_ms) " ms"
                        @if let Some(class) = &attempt.error_class { ", " code { (plain(class)) } }
                    }
                }
            }
            td { (post_button(&format!("{address}/messages/{}/redeliver", message.id), &[], "", Icon::Retry, "Send again")) }
        }
    }
}

/// Sends a message of a webhook again.
pub(super) async fn redeliver(
    State(state): State<ApiState>,
    session: Session,
    Path((id, message_id)): Path<(Uuid, Uuid)>,
) -> Result<Redirect, Problem> {
    actions::redeliver(&state, By::ui(session.caller), Some(id), message_id).await?.ok_or_else(is_off)?;
    Ok(Redirect::to(&format!("/ui/webhooks/{id}")))
}

/// Sends a message of a callback again.
pub(super) async fn redeliver_callback(
    State(state): State<ApiState>,
    session: Session,
    Path(message_id): Path<Uuid>,
) -> Result<Redirect, Problem> {
    actions::redeliver(&state, By::ui(session.caller), None, message_id).await?.ok_or_else(is_off)?;
    Ok(Redirect::to("/ui/webhooks/callbacks"))
}
