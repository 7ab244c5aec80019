//! `deliver-webhook`: sends one message to one receiver.
//!
//! 1. Read message, URL and secrets.
//! 2. Sign the body with a fresh timestamp and post it. Redirects are not followed, and the answer's body is dropped.
//! 3. Add the attempt to the log.
//!
//! A process that dies between 2 and 3 sends the message again, with the same id.

use std::time::Duration;

use bedel_fetch::{FetchError, PostAnswer};
use bedel_queue::{Attempt, Backoff, Breaker, Commit, End, Job, JobError, NewJob, Policy};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::json;
use sqlx::PgConnection;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use crate::environment::Context;
use crate::error_class::{ErrorClass, names};
pub use crate::kinds::DeliverWebhook;
use crate::webhook::message::{self, AttemptRecord, Sending};

/// Concurrent deliveries to one receiver, fleet-wide: a silent one never takes all slots.
const DELIVERIES_PER_RECEIVER: u32 = 3;

/// Pauses between attempts: 10 s, doubled up to 4 hours. With 16 attempts the last comes after 22 hours.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), max: Duration::from_secs(4 * 3600) };

/// Class of an answer that disables the receiver.
const GONE: &str = ErrorClass::ReceiverGone.name();

/// Error classes of this kind, beside the queue's.
const ERROR_CLASSES: [&str; 8] = names(&[&[
    ErrorClass::Network,
    ErrorClass::Timeout,
    ErrorClass::ReceiverError,
    ErrorClass::ReceiverRefused,
    ErrorClass::ReceiverBusy,
    ErrorClass::ReceiverGone,
    ErrorClass::ReceiverForbidden,
    ErrorClass::WebhookDisabled,
]]);

impl Job for DeliverWebhook {
    const KIND: &'static str = "deliver-webhook";
    type Context = Context;
    /// The status of the answer; `None` if the message is gone or its webhook removed.
    type Output = Option<u16>;

    /// Sixteen attempts over 22 hours outlive a receiver's bad day. A receiver that is down is asked by one probe at a
    /// time, so its messages delay no others.
    fn policy() -> Policy {
        Policy {
            queue: "webhooks",
            slots: 8,
            max_attempts: 16,
            // A message crashes no process: it is short, and its answer is dropped.
            max_crashes: 10,
            backoff: BACKOFF,
            timeout: Duration::from_secs(60),
            group_limit: Some(DELIVERIES_PER_RECEIVER),
            breaker: Some(Breaker {
                failures: 5,
                pause: Backoff { first: Duration::from_secs(30), max: Duration::from_secs(1800) },
            }),
            error_classes: &ERROR_CLASSES,
            ..Policy::default()
        }
    }

    async fn run(&self, ctx: &Context, attempt: &Attempt) -> Result<Self::Output, JobError> {
        let Some(sending) = message::read_sending(&ctx.pool, self.message_id).await? else {
            return Ok(None);
        };
        if !sending.enabled {
            return Err(JobError::fatal(
                "webhook-disabled",
                "The subscription is disabled. Enable it, then deliver the message again.",
            ));
        }
        let started = Instant::now();
        let (status, outcome) = send(ctx, self.message_id, sending, attempt.errors).await;
        let record = AttemptRecord {
            duration: started.elapsed(),
            status,
            error_class: outcome.as_ref().err().map(JobError::class),
        };
        message::record_attempt(&ctx.pool, self.message_id, record).await?;
        outcome.map(Some)
    }

    async fn commit(
        &self,
        _: &Context,
        _: &Attempt,
        output: &Self::Output,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        let Some(status) = output else {
            return Ok(Commit::cancelled("the message was deleted, or its webhook removed"));
        };
        message::set_delivered(tx, self.message_id).await?;
        Ok(Commit::done().with_result(json!({ "status": status })))
    }

    async fn ended(_: &Context, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        if let Some(message_id) = end.subject {
            if end.class == GONE {
                message::disable_receiver(tx, message_id, &end.message).await?;
            }
            message::set_failed(tx, message_id).await?;
        }
        Ok(Vec::new())
    }
}

/// Posts the message. Returns the answer's status, if one came, and the outcome.
async fn send(
    ctx: &Context,
    message_id: Uuid,
    sending: Sending,
    errors: i32,
) -> (Option<u16>, Result<u16, JobError>) {
    let headers = headers(message_id, &sending);
    let url: Url = match sending.url.parse() {
        Ok(url) => url,
        Err(_) => return (None, Err(forbidden("its URL cannot be read"))),
    };
    let patience = ctx.settings.webhooks.stall_timeout;
    match ctx.webhook_fetcher.post(&url, headers, sending.payload, patience).await {
        Ok(answer) => (Some(answer.status), interpret(answer, errors)),
        Err(error) => (None, Err(unanswered(&error))),
    }
}

/// The headers of the specification. Both secrets sign while the previous one is valid.
fn headers(message_id: Uuid, sending: &Sending) -> HeaderMap {
    let Sending { payload, secret, previous_secret, timestamp, .. } = sending;
    let secrets = [Some(secret), previous_secret.as_ref()];
    let signatures: Vec<String> =
        secrets.into_iter().flatten().map(|secret| secret.sign(message_id, *timestamp, payload)).collect();
    let value = |text: String| HeaderValue::from_str(&text).expect("digits, hexadecimal and base64");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("webhook-id", value(message_id.to_string()));
    headers.insert("webhook-timestamp", value(timestamp.to_string()));
    headers.insert("webhook-signature", value(signatures.join(" ")));
    headers
}

/// What an answer means. Its status says whether the receiver is up; only 2xx delivers. `errors`: failed attempts before
/// this one.
fn interpret(answer: PostAnswer, errors: i32) -> Result<u16, JobError> {
    let PostAnswer { status, retry_after } = answer;
    match (status, retry_after) {
        (200..=299, _) => Ok(status),
        (410, _) => {
            Err(JobError::fatal("receiver-gone", "The receiver answered 410: it wants no more messages.")
                .clears_group())
        }
        (429 | 500..=599, Some(delay)) => {
            // The receiver's delay, but never less than the backoff: it must not spend all attempts in minutes.
            let error = JobError::retry_after(
                "receiver-busy",
                format!("The receiver answered {status} and named a time to come back."),
                delay.max(BACKOFF.delay(errors + 1, 0.5)),
            );
            Err(if status == 429 { error.clears_group() } else { error.blames_group() })
        }
        (500..=599, None) => {
            Err(JobError::retry("receiver-error", format!("The receiver answered {status}.")).blames_group())
        }
        (300..=399, _) => Err(JobError::retry(
            "receiver-refused",
            format!(
                "The receiver answered {status}: redirects are not followed. Register its final address."
            ),
        )
        .clears_group()),
        _ => {
            Err(JobError::retry("receiver-refused", format!("The receiver answered {status}."))
                .clears_group())
        }
    }
}

/// What it means that no answer came. The texts name the host at most.
fn unanswered(error: &FetchError) -> JobError {
    match error {
        FetchError::Refused(refusal) => forbidden(&refusal.to_string()),
        FetchError::TimedOut { .. } => {
            JobError::retry("timeout", format!("The receiver gave no answer: {error}.")).blames_group()
        }
        _ => JobError::retry("network", format!("The receiver gave no answer: {error}.")).blames_group(),
    }
}

fn forbidden(reason: &str) -> JobError {
    JobError::fatal(
        "receiver-forbidden",
        format!(
            "Nothing is sent to this receiver: {reason}. Register a public https address, or ask the operators to allow \
             it (BEDEL_WEBHOOK_ALLOW)."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_that_the_receiver_names_never_shortens_the_backoff() {
        let answer = |seconds| PostAnswer { status: 503, retry_after: Some(Duration::from_secs(seconds)) };
        for (errors, named, waits) in [(0, 5, 10.0), (0, 3600, 3600.0), (9, 60, 5120.0), (15, 60, 14400.0)] {
            let error = interpret(answer(named), errors).expect_err("no delivery");
            assert!(
                format!("{error:?}").contains(&format!("{:?}", Duration::from_secs_f64(waits))),
                "{error:?}"
            );
        }
    }
}
