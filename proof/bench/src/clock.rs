//! The machine's monotonic clock, which all processes of a run share, and times in the future for other queues.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine was started; comparable between processes of one machine.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).expect("the monotonic clock is not negative");
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).expect("nanoseconds are not negative")
}

/// Seconds between two readings.
pub fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e9
}

/// A time on this machine's clock, for queues whose producers take a time, not a delay.
#[expect(
    clippy::disallowed_methods,
    reason = "those queues compare it with the database's clock, on the same machine"
)]
pub fn in_future(delay: Duration) -> DateTime<Utc> {
    Utc::now() + delay
}
