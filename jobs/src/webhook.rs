//! Webhooks, by the Standard Webhooks specification (<https://www.standardwebhooks.com>).
//!
//! A **receiver** is a standing subscription ([`subscription`]) or the `callback_url` of a submission ([`callback`]).
//! [`publish`] writes one message for each receiver of an [`event`], and one job that sends it, in the transaction
//! that causes the event: no message is lost, and none tells of what was rolled back. The job is
//! [`deliver_webhook`](crate::deliver_webhook). [`message`] has the log.
//!
//! A message is sent at least once. Its id stays the same over all attempts, so a receiver can drop repetitions.

pub mod callback;
pub mod event;
pub mod message;
pub mod prune;
pub mod publish;
pub mod receiver_group;
pub mod receiver_url;
pub mod secret;
pub mod subscription;
