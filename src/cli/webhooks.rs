//! `bedel webhooks`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::output::OutputOptions;
use super::remote::{Remote, RemoteOptions};
use super::table;
use crate::config::common::CommonOptions;
use crate::error::CliError;

/// `bedel webhooks …`
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// List your webhooks; as an admin also those of others to all lectures
    List(Access),
    /// Make a webhook; its secret is printed once
    Add(Add),
    /// Remove a webhook with its messages
    Remove(Named),
    /// Enable a webhook
    Enable(Named),
    /// Disable a webhook: nothing is sent
    Disable(Named),
    /// Send a test message
    Test(Named),
    /// Make a new secret; for 24 hours the old one signs too
    Rotate(Named),
    /// List the messages to a webhook, or those to the callbacks of your submissions
    Deliveries(Deliveries),
    /// Deliver a message again, with the same id
    Redeliver(Redeliver),
    /// Print the secret of your callbacks, or rotate it
    CallbackSecret(CallbackSecret),
}

/// How to ask the API, and how to print its answer.
#[derive(Debug, Args)]
pub struct Access {
    /// Act as the admin of `bedel dev`
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

/// The webhook to make.
#[derive(Debug, Args)]
pub struct Add {
    /// Address of the receiver
    #[arg(value_name = "URL")]
    url: String,
    /// Event to tell of, such as lecture.completed; may be repeated [default: all]
    #[arg(long = "event", value_name = "EVENT")]
    events: Vec<String>,
    /// Tell of everybody's lectures and of discarded jobs: admins only
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

/// A webhook to use.
#[derive(Debug, Args)]
pub struct Named {
    /// The webhook's id
    #[arg(value_name = "WEBHOOK")]
    id: Uuid,
    #[command(flatten)]
    access: Access,
}

/// Whose messages to list.
#[derive(Debug, Args)]
pub struct Deliveries {
    /// The webhook's id; left out: the callbacks of your submissions
    #[arg(value_name = "WEBHOOK")]
    id: Option<Uuid>,
    /// Maximum number of messages
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    limit: u8,
    #[command(flatten)]
    access: Access,
}

/// The message to deliver again.
#[derive(Debug, Args)]
pub struct Redeliver {
    /// The message's id
    #[arg(value_name = "MESSAGE")]
    message: Uuid,
    /// The webhook of the message; left out: it is one to a callback
    #[arg(long, value_name = "WEBHOOK")]
    webhook: Option<Uuid>,
    #[command(flatten)]
    access: Access,
}

/// What to do with the secret.
#[derive(Debug, Args)]
pub struct CallbackSecret {
    /// Make a new one; for 24 hours the old one signs too
    #[arg(long)]
    rotate: bool,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

/// The printed fields of a webhook.
#[derive(Deserialize)]
struct Webhook {
    id: Uuid,
    scope: String,
    url: String,
    events: Vec<String>,
    enabled: bool,
    disabled_reason: Option<String>,
}

/// The printed fields of an answer with a secret.
#[derive(Deserialize)]
struct WithSecret {
    secret: String,
}

/// The printed fields of a message.
#[derive(Deserialize)]
struct Message {
    id: Uuid,
    event: String,
    lecture_id: Option<Uuid>,
    state: String,
    created_at: chrono::DateTime<chrono::Utc>,
    next_attempt_at: Option<chrono::DateTime<chrono::Utc>>,
    attempts: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    status: Option<i32>,
    error_class: Option<String>,
}

impl WebhooksCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If there is no API or it refuses; its detail is printed.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        match self {
            Self::List(access) => access.list(common).await,
            Self::Add(command) => command.run(common).await,
            Self::Remove(command) => {
                let answer = command.ask(common, Method::DELETE, "", None).await?;
                command.access.output.print(&answer, || format!("{} is removed\n", command.id))
            }
            Self::Enable(command) => command.set_enabled(common, true).await,
            Self::Disable(command) => command.set_enabled(common, false).await,
            Self::Test(command) => {
                let answer = command.ask(common, Method::POST, "/test", None).await?;
                let text = format!("message {} is queued", text_of(&answer, "message_id"));
                command.access.output.print(&answer, || format!("{text}\n"))
            }
            Self::Rotate(command) => {
                let answer = command.ask(common, Method::POST, "/rotate", None).await?;
                command.access.output.print(&answer, || format!("{}\n", text_of(&answer, "secret")))
            }
            Self::Deliveries(command) => command.run(common).await,
            Self::Redeliver(command) => command.run(common).await,
            Self::CallbackSecret(command) => command.run(common).await,
        }
    }
}

fn text_of(answer: &Value, field: &str) -> String {
    table::clean(answer[field].as_str().unwrap_or_default())
}

impl Access {
    fn open(&self, common: &CommonOptions) -> Result<Remote, CliError> {
        self.remote.open(common, self.admin)
    }

    async fn list(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.open(common)?;
        let answer = remote.ask(Method::GET, "/api/webhooks", None).await?;
        let webhooks: Vec<Webhook> = remote.read(answer["webhooks"].clone())?;
        self.output.print(&answer["webhooks"], || {
            let rows: Vec<_> = webhooks.iter().map(webhook_row).collect();
            table::render(&["WEBHOOK", "SCOPE", "ENABLED", "EVENTS", "URL"], &rows)
        })
    }
}

fn webhook_row(webhook: &Webhook) -> Vec<String> {
    let enabled = match (webhook.enabled, &webhook.disabled_reason) {
        (true, _) => "yes".to_owned(),
        (false, None) => "no".to_owned(),
        (false, Some(reason)) => format!("no: {reason}"),
    };
    vec![
        webhook.id.to_string(),
        webhook.scope.clone(),
        enabled,
        webhook.events.join(" "),
        webhook.url.clone(),
    ]
}

impl Add {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.remote.open(common, self.all)?;
        let events = Some(&self.events).filter(|events| !events.is_empty());
        let scope = if self.all { "all" } else { "own" };
        let body = json!({ "url": self.url, "events": events, "scope": scope });
        let answer = remote.ask(Method::POST, "/api/webhooks", Some(&body)).await?;
        let WithSecret { secret } = remote.read(answer.clone())?;
        let text = format!("webhook {}\nsecret  {}", text_of(&answer, "id"), table::clean(&secret));
        self.output.print(&answer, || format!("{text}\n"))
    }
}

impl Named {
    async fn ask(
        &self,
        common: &CommonOptions,
        method: Method,
        suffix: &str,
        body: Option<&Value>,
    ) -> Result<Value, CliError> {
        let remote = self.access.open(common)?;
        remote.ask(method, &format!("/api/webhooks/{}{suffix}", self.id), body).await
    }

    async fn set_enabled(&self, common: &CommonOptions, enabled: bool) -> Result<(), CliError> {
        let body = json!({ "enabled": enabled });
        let answer = self.ask(common, Method::PATCH, "", Some(&body)).await?;
        let text = format!("{} is {}", self.id, if enabled { "enabled" } else { "disabled" });
        self.access.output.print(&answer, || format!("{text}\n"))
    }
}

/// The path of a webhook's messages, or of those to callbacks.
fn messages_of(webhook: Option<Uuid>) -> String {
    let owner = webhook.map_or_else(|| "callbacks".to_owned(), |id| id.to_string());
    format!("/api/webhooks/{owner}/deliveries")
}

impl Deliveries {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.access.open(common)?;
        let path = format!("{}?limit={}", messages_of(self.id), self.limit);
        let answer = remote.ask(Method::GET, &path, None).await?;
        let messages: Vec<Message> = remote.read(answer["deliveries"].clone())?;
        self.access.output.print(&answer["deliveries"], || {
            let rows: Vec<_> = messages.iter().map(message_row).collect();
            let columns =
                ["MESSAGE", "EVENT", "LECTURE", "STATE", "CREATED", "ATTEMPTS", "LAST ANSWER", "NEXT"];
            table::render(&columns, &rows)
        })
    }
}

fn message_row(message: &Message) -> Vec<String> {
    let none = || "-".to_owned();
    let answer = message.attempts.first().map_or_else(none, |attempt| {
        let status = attempt.status.map(|status| status.to_string());
        let parts: Vec<String> = status.into_iter().chain(attempt.error_class.clone()).collect();
        parts.join(" ")
    });
    vec![
        message.id.to_string(),
        message.event.clone(),
        message.lecture_id.map_or_else(none, |id| id.to_string()),
        message.state.clone(),
        table::time(message.created_at),
        message.attempts.len().to_string(),
        answer,
        message.next_attempt_at.map_or_else(none, table::time),
    ]
}

impl Redeliver {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.access.open(common)?;
        let path = format!("{}/{}/redeliver", messages_of(self.webhook), self.message);
        let answer = remote.ask(Method::POST, &path, None).await?;
        self.access.output.print(&answer, || format!("message {} is queued\n", self.message))
    }
}

impl CallbackSecret {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.remote.open(common, false)?;
        let path = "/api/webhooks/callbacks/secret";
        let answer = match self.rotate {
            true => remote.ask(Method::POST, &format!("{path}/rotate"), None).await?,
            false => remote.ask(Method::PUT, path, None).await?,
        };
        self.output.print(&answer, || format!("{}\n", text_of(&answer, "secret")))
    }
}
