//! Speech engines on other servers.
//!
//! The operator sets the address. It may be in a private network, so the rules of the fetch crate for
//! addresses do not apply. But requests never leave it: no redirects are followed, and no proxy of the
//! environment is used. Answers are as hostile as anything from outside.
//!
//! An attempt makes each call once. The error's [`JobError`](bedel_queue::JobError) decides whether and when
//! it is retried; until then the finished pieces stay stored, and the worker's slot is free. `paid_calls`
//! counts the calls that may have been paid for.
//!
//! Read `engine` first, then `openai` or `task`, `paid_calls`, and `client` for one request.

mod client;
mod engine;
mod error;
mod openai;
mod paid_calls;
mod settings;
mod task;
mod task_state;
mod upload;

pub use client::ClientError;
pub use engine::RemoteEngine;
pub use error::RemoteError;
pub use settings::{ApiKey, MIN_UPLOAD_BYTES, RemoteSettings, UNKNOWN_STATE_TIMEOUT};
