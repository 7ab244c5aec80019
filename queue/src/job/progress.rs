//! The latest progress of an attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// No progress reported yet.
const UNKNOWN: u32 = f32::NAN.to_bits();

/// The latest progress of an attempt. The handler sets it; the heartbeat writes it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Fractions>);

#[derive(Debug)]
struct Fractions {
    latest: AtomicU32,
    /// The last value taken for writing.
    taken: AtomicU32,
}

impl Default for Fractions {
    fn default() -> Self {
        Self { latest: AtomicU32::new(UNKNOWN), taken: AtomicU32::new(UNKNOWN) }
    }
}

impl Progress {
    pub(super) fn set(&self, fraction: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a fraction for display, stored as real")]
        self.0.latest.store((fraction.clamp(0.0, 1.0) as f32).to_bits(), Ordering::Relaxed);
    }

    /// The latest fraction, once: None until it changes.
    pub(crate) fn take(&self) -> Option<f32> {
        let latest = self.0.latest.load(Ordering::Relaxed);
        let fraction = f32::from_bits(latest);
        (self.0.taken.swap(latest, Ordering::Relaxed) != latest && !fraction.is_nan()).then_some(fraction)
    }

    /// The taken value was not written: return it again from the next `take`.
    pub(crate) fn give_back(&self) {
        self.0.taken.store(UNKNOWN, Ordering::Relaxed);
    }
}
