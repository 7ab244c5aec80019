//! What all attempts of one worker process share.

use std::time::Duration;

use sqlx::PgPool;

use super::end_batcher::EndBatcher;
use crate::dedicated_connection::{STABLE_PLANS, dedicated_connection};
use crate::enqueue::queue::Queue;
use crate::options::WorkerOptions;

/// For the attempts' own connection. One locked row must not hold up others for long, and a connection that goes silent
/// in a transaction must lose its locks.
const ATTEMPT_SETTINGS: [(&str, &str); 3] =
    [("lock_timeout", "1s"), ("statement_timeout", "20s"), ("idle_in_transaction_session_timeout", "5s")];

/// What all attempts of one worker process share.
#[derive(Debug)]
pub(crate) struct WorkerShared {
    pub(crate) queue: Queue,
    /// The worker's name, for the history.
    pub(super) worker: String,
    /// For ends of plain attempts, checkpoints, releases and reads of an attempt's row. Handlers may use up the program's
    /// pool.
    pub(crate) attempts: PgPool,
    /// Writes the ends of plain attempts.
    pub(crate) end_batcher: EndBatcher,
    /// Begins a transaction that the server ends when we go idle in it. A process that is stopped inside a
    /// transaction would keep its job's row locked, and a locked row cannot be rescued. The role's and the database's
    /// defaults do not matter.
    pub(super) begin: String,
    /// Longest time of a short transaction.
    pub(super) step_timeout: Duration,
}

impl WorkerShared {
    pub(crate) fn new(queue: Queue, options: &WorkerOptions) -> Self {
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
             SET LOCAL idle_in_transaction_session_timeout = {};
             SET LOCAL lock_timeout = {};
             SET LOCAL statement_timeout = {} -- settle::begin",
            (options.dead_after / 2).as_millis(),
            (options.step_timeout / 6).as_millis().max(1),
            (options.step_timeout * 2 / 3).as_millis().max(1),
        );
        let settings = [&STABLE_PLANS[..], &ATTEMPT_SETTINGS].concat();
        let attempts = dedicated_connection(queue.pool(), "bedel-attempts", &settings);
        Self {
            queue,
            worker: options.name.clone(),
            attempts,
            end_batcher: EndBatcher::default(),
            begin,
            step_timeout: options.step_timeout,
        }
    }
}
