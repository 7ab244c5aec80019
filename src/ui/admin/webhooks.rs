//! Webhooks of the user, and for admins those to everything: list, add, remove, test, rotate.

use std::num::NonZeroU32;

use axum::extract::{Request, State};
use axum::response::{Redirect, Response};
use bedel_jobs::webhook::event::Event;
use bedel_jobs::webhook::secret::{GRACE_HOURS, SigningSecret};
use bedel_jobs::webhook::subscription::{self, Change, Scope, SubscriptionView};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::parts::{plain, post_button};
use crate::api::auth::Caller;
use crate::api::body::{Fields, Id};
use crate::api::problem::Problem;
use crate::api::state::ApiState;
use crate::api::webhooks::actions::{self, By};
use crate::api::webhooks::new_subscription;
use crate::ui::badge::{Tone, badge};
use crate::ui::errors::alert;
use crate::ui::form::{FormFields, Sent};
use crate::ui::icons::{Icon, icon};
use crate::ui::layout::{Page, Section, empty};
use crate::ui::session::Session;
use crate::ui::text::time;

/// The events, with the scope that each needs.
const EVENTS: [(Event, &str); 3] = [
    (Event::LectureCompleted, "A lecture is ready"),
    (Event::LectureFailed, "A lecture failed"),
    (Event::JobDiscarded, "A job was discarded (only with all lectures)"),
];

/// Nothing is sent while a webhook is off.
pub(super) fn is_off() -> Problem {
    Problem::conflict("This webhook is off, so nothing is sent. Turn it on first.")
}

/// The list and the form.
pub(super) async fn list(State(state): State<ApiState>, session: Session) -> Result<Response, Problem> {
    page(&state, &session, &Sent::default(), None).await
}

async fn page(
    state: &ApiState,
    session: &Session,
    sent: &Sent,
    detail: Option<&str>,
) -> Result<Response, Problem> {
    let mut connection = state.acquire().await?;
    let Caller { user_id, admin, .. } = session.caller;
    let webhooks = subscription::list(&mut connection, user_id, admin).await?;
    drop(connection);
    let page = Page {
        title: "Webhooks",
        section: Section::Webhooks,
        parent: None,
        actions: html! { a.button href="/ui/webhooks/callbacks" { (icon(Icon::Link)) "Callbacks of submissions" } },
        topics: Vec::new(),
        scripts: &[],
        body: html! {
            @if let Some(detail) = detail { (alert(detail)) }
            section.panel aria-label="Webhooks" {
                @if webhooks.is_empty() {
                    (empty(Icon::Link, "No webhook yet", "Bedel sends a signed message to your server when a lecture is ready or has failed.", html! {}))
                } @else { (table(&webhooks)) }
            }
            section.panel aria-labelledby="add-heading" {
                header { h2 #add-heading { "Add a webhook" } }
                div.body { (form(sent, admin)) }
            }
        },
    };
    Ok(page.render(session))
}

fn table(webhooks: &[SubscriptionView]) -> Markup {
    html! {
        div.scroll { table.cards {
            caption.sr { "Webhooks, oldest first" }
            thead { tr {
                th scope="col" { "Receiver" } th scope="col" { "State" } th scope="col" { "Events" } th scope="col" { "Added" }
            } }
            tbody { @for webhook in webhooks { tr {
                th.cell scope="row" { a.title href={ "/ui/webhooks/" (webhook.id) } { (plain(&webhook.url)) } }
                td { (state_of(webhook)) }
                td data-label="Events" {
                    (webhook.events.join(", "))
                    @if webhook.scope == Scope::All { div.soft.small { "of all lectures" } }
                }
                td data-label="Added" { (time(webhook.created_at)) }
            } } }
        } }
    }
}

/// On, or why it is off.
pub(super) fn state_of(webhook: &SubscriptionView) -> Markup {
    html! {
        @if webhook.enabled { (badge(Tone::Good, Icon::Check, "On")) }
        @else { (badge(Tone::Warn, Icon::Pause, "Off")) }
        @if let Some(reason) = &webhook.disabled_reason { p.soft.small { (plain(reason)) } }
    }
}

fn form(sent: &Sent, is_admin: bool) -> Markup {
    let scopes = [("own", "My lectures"), ("all", "All lectures, and discarded jobs")];
    let scopes = scopes.map(|(value, text)| (value.to_owned(), text.to_owned()));
    let is_new = sent.errors.is_empty();
    html! {
        form.form method="post" action="/ui/webhooks" {
            (sent.line("url", "Receiver", "A public https address.", "url", true))
            @if is_admin { (sent.choice("scope", "Of", "", &scopes)) }
            fieldset.field {
                legend { "Events" }
                @for (event, text) in EVENTS {
                    @if is_admin || event != Event::JobDiscarded {
                        div {
                            input type="checkbox" id=(event.name()) name=(event.name()) value="on"
                                checked[if is_new { event != Event::JobDiscarded } else { !sent.fields.text(event.name()).is_empty() }];
                            " " label for=(event.name()) { (text) }
                        }
                    }
                }
                @if let Some(error) = sent.error("events") { p.error { (icon(Icon::Alert)) (error) } }
            }
            div.actions { button.button.main-action { "Add" } }
        }
    }
}

/// Adds a webhook and shows its secret once.
pub(super) async fn add(
    State(state): State<ApiState>,
    session: Session,
    request: Request,
) -> Result<Response, Problem> {
    state.limits.admit(session.caller.user_id, NonZeroU32::MIN)?;
    let fields = FormFields::read(request).await?;
    let mut body = Map::new();
    body.insert("url".to_owned(), json!(fields.text("url")));
    if let Some(scope) = fields.filled("scope") {
        body.insert("scope".to_owned(), json!(scope));
    }
    let events = EVENTS.iter().map(|(event, _)| event.name()).filter(|name| !fields.text(name).is_empty());
    body.insert("events".to_owned(), Value::from(events.collect::<Vec<_>>()));
    let new = match new_subscription(&state, session.caller, Fields::of(body)) {
        Ok(new) => new,
        Err(problem) if !problem.errors.is_empty() => {
            let sent = Sent { fields, errors: problem.errors };
            return page(&state, &session, &sent, Some(&problem.detail)).await;
        }
        Err(problem) => return Err(problem),
    };
    let (webhook, secret) = actions::create(&state, By::ui(session.caller), &new).await?;
    Ok(secret_page(&session, &format!("/ui/webhooks/{}", webhook.id), &secret, false))
}

/// The only page that shows a secret.
pub(super) fn secret_page(
    session: &Session,
    next: &str,
    secret: &SigningSecret,
    is_rotated: bool,
) -> Response {
    let page = Page {
        title: "Signing secret",
        section: Section::Webhooks,
        parent: Some(("/ui/webhooks", "Webhooks")),
        actions: html! {},
        topics: Vec::new(),
        scripts: &[],
        body: html! { section.panel aria-label="Secret" { div.body {
            p { strong { "Copy it now: no later page shows it." } " Your server checks each message with it." }
            pre tabindex="0" role="region" aria-label="Signing secret" { code { (secret.reveal()) } }
            @if is_rotated { p.soft { "The old secret signs too for " (GRACE_HOURS) " hours." } }
            div.actions { a.button.main-action href=(next) { "I have copied it" } }
        } } },
    };
    page.render(session)
}

/// Replaces the secret and shows the new one once.
pub(super) async fn rotate(
    State(state): State<ApiState>,
    session: Session,
    Id(id): Id,
) -> Result<Response, Problem> {
    let (secret, _) = actions::rotate(&state, By::ui(session.caller), id).await?;
    Ok(secret_page(&session, &format!("/ui/webhooks/{id}"), &secret, true))
}

/// Turns it on or off: `enabled` in the form.
pub(super) async fn switch(
    State(state): State<ApiState>,
    session: Session,
    Id(id): Id,
    request: Request,
) -> Result<Redirect, Problem> {
    let enabled = FormFields::read(request).await?.text("enabled") == "true";
    let change = Change { enabled: Some(enabled), ..Change::default() };
    actions::change(&state, By::ui(session.caller), id, &change).await?;
    Ok(Redirect::to(&format!("/ui/webhooks/{id}")))
}

/// Removes it with its messages.
pub(super) async fn remove(
    State(state): State<ApiState>,
    session: Session,
    Id(id): Id,
) -> Result<Redirect, Problem> {
    actions::remove(&state, By::ui(session.caller), id).await?;
    Ok(Redirect::to("/ui/webhooks"))
}

/// Sends a test message.
pub(super) async fn test(
    State(state): State<ApiState>,
    session: Session,
    Id(id): Id,
) -> Result<Redirect, Problem> {
    actions::queue_test(&state, By::ui(session.caller), id).await?.ok_or_else(is_off)?;
    Ok(Redirect::to(&format!("/ui/webhooks/{id}")))
}

/// Buttons of one webhook.
pub(super) fn buttons(webhook: &SubscriptionView) -> Markup {
    let address = format!("/ui/webhooks/{}", webhook.id);
    html! {
        div.actions {
            @if webhook.enabled {
                (post_button(&format!("{address}/test"), &[], "main-action", Icon::External, "Send a test"))
                (post_button(&format!("{address}/switch"), &[("enabled", "false")], "", Icon::Pause, "Turn off"))
            } @else {
                (post_button(&format!("{address}/switch"), &[("enabled", "true")], "main-action", Icon::Check, "Turn on"))
            }
            (post_button(&format!("{address}/rotate"), &[], "", Icon::Retry, "New secret"))
            (post_button(&format!("{address}/remove"), &[], "danger", Icon::Trash, "Remove"))
        }
    }
}
