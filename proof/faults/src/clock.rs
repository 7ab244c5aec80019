//! The machine's monotonic clock, which all processes of a round share.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds on the machine's monotonic clock. Comparable between processes, which `Instant` is not.
pub fn now_ms() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}
