//! A suspect's way through a process. A job whose process died twice in a row without progress runs alone: if the process
//! dies again, the job did it, and no other job dies with it.
//!
//! An idle process takes a suspect at once. A busy one holds it under its lease, starts nothing else, and runs it once
//! the attempts in flight have ended. If they take too long, it gives the suspect back. After each suspect it works
//! nineteen times as long without one, unless it has nothing else to do. `simulation` shows what that costs.

use std::time::{Duration, Instant};

use crate::claim::claimed::Claimed;
use crate::job::attempt::Attempt;
use crate::liveness::in_flight::SlotGuard;

/// A process spends about one part in this many of its time on suspects.
const SHARE: u32 = 20;

/// Share of new processes that take a suspect first.
const FRESH_SHARE: f64 = 0.15;

/// A claimed suspect that waits until nothing else is in flight.
pub(super) struct HeldSuspect {
    pub(super) row: Claimed,
    pub(super) attempt: Attempt,
    pub(super) guard: SlotGuard,
    since: Instant,
    patience: Duration,
}

impl HeldSuspect {
    pub(super) fn new(row: Claimed, attempt: Attempt, guard: SlotGuard) -> Self {
        Self { row, attempt, guard, since: Instant::now(), patience: Duration::ZERO }
    }

    /// How much longer to hold it. None: not at all.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.patience.checked_sub(self.since.elapsed()).filter(|left| !left.is_zero())
    }
}

/// How long a busy process holds a suspect that has been due for so long.
fn patience(least: Duration, due_for: Duration, uptime: Duration) -> Duration {
    least.max(due_for.min(uptime) / SHARE)
}

/// How long a process works without suspects after it spent so long on one.
fn rest(spent: Duration) -> Duration {
    spent.saturating_mul(SHARE - 1)
}

/// How long a new process works without suspects. `random` is in 0..1. A new process is empty, so a suspect costs it least
/// then; but where processes live for minutes only, not each of them may take one.
fn first_rest(least: Duration, random: f64) -> Duration {
    if random < FRESH_SHARE { Duration::ZERO } else { rest(least) }
}

/// The process's suspect, and when it may take the next one.
pub(super) struct Isolation {
    pub(super) held: Option<HeldSuspect>,
    /// Since when it spends its time on a suspect.
    begun: Option<Instant>,
    rest_until: Option<Instant>,
    started: Instant,
    /// How long to hold a suspect, at least.
    patience: Duration,
}

impl Isolation {
    pub(super) fn new(patience: Duration) -> Self {
        let started = Instant::now();
        let rest_until = started.checked_add(first_rest(patience, rand::random()));
        Self { held: None, begun: None, rest_until, started, patience }
    }

    /// Holds a suspect that was just claimed.
    pub(super) fn hold(&mut self, held: HeldSuspect) {
        let due_for = (held.row.attempted_at - held.row.run_at.time()).to_std().unwrap_or_default();
        let patience = patience(self.patience, due_for, self.started.elapsed());
        self.held = Some(HeldSuspect { patience, ..held });
    }

    /// A suspect was claimed.
    pub(super) fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// No suspect is in flight.
    pub(super) fn end(&mut self) {
        if let Some(begun) = self.begun.take() {
            let now = Instant::now();
            self.rest_until = now.checked_add(rest(now.duration_since(begun)));
        }
    }

    /// True if a busy process may take a suspect.
    pub(super) fn is_rested(&self) -> bool {
        self.rest_until.is_none_or(|until| Instant::now() >= until)
    }
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_wait_and_rest_with_the_time_spent() {
        let (least, hour, day) =
            (Duration::from_secs(30), Duration::from_secs(3600), Duration::from_secs(86_400));
        assert_eq!(patience(least, Duration::ZERO, day), least);
        assert_eq!(patience(least, hour, day), Duration::from_secs(180));
        assert_eq!(
            patience(least, day, hour),
            Duration::from_secs(180),
            "a young process is no host for long"
        );
        assert_eq!(rest(Duration::from_secs(30)), Duration::from_secs(570));
        assert_eq!(rest(Duration::MAX), Duration::MAX);
    }
}
