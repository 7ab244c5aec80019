//! Pauses between attempts.

use std::time::Duration;

/// Longest pause a row can get: errors may name any.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Exponential backoff: `first`, then doubled each time up to `max`, with a jitter of 20 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Delay after the first failed attempt.
    pub first: Duration,
    /// Longest delay.
    pub max: Duration,
}

impl Backoff {
    /// Delay after the `errors`-th failed attempt (counted from 1). `jitter` in 0..1 maps to 0.8 to 1.2 times
    /// the exact value, so that jobs which failed together do not retry together. At most 36 days.
    #[must_use]
    pub fn delay(&self, errors: i32, jitter: f64) -> Duration {
        let doublings = errors.saturating_sub(1).clamp(0, 30);
        let exact = self.first.as_secs_f64() * f64::from(2_u32.pow(doublings.unsigned_abs()));
        let bounded = exact.min(self.max.as_secs_f64()).min(MAX_PAUSE.as_secs_f64());
        Duration::from_secs_f64(bounded * (0.8 + 0.4 * jitter.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_durations_are_bounded() {
        let endless = Backoff { first: Duration::MAX, max: Duration::MAX };
        for errors in [i32::MIN, 0, 1, 31, i32::MAX] {
            assert!(endless.delay(errors, 1.0) <= MAX_PAUSE * 12 / 10);
        }
        let short = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(10) };
        assert_eq!([1, 2, 3, 9].map(|errors| short.delay(errors, 0.5).as_secs()), [1, 2, 4, 10]);
    }
}
