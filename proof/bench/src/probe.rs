//! Called by every handler: counts the runs, so that throughput counts only work that was done.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock;

/// The first attempt of a job in the measure where each job fails once.
#[derive(Debug, thiserror::Error)]
#[error("the first attempt fails")]
pub struct FirstAttempt;

/// Counts the runs in one worker process.
#[derive(Debug)]
pub struct Probe {
    runs: AtomicU64,
    failures: AtomicU64,
    /// Sum and sum of squares of the jobs' numbers that succeeded: together with their count they tell whether each
    /// number ran exactly once, whichever process it ran in.
    sum: AtomicU64,
    squares: AtomicU64,
    first: AtomicU64,
    fail_once: Option<Mutex<HashSet<u64>>>,
    starts: Option<Mutex<Vec<(u64, u64)>>>,
    /// Runs after which `reached` fires.
    target: u64,
    reached: Notify,
}

/// What one worker process did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Runs of the handler, failed ones included.
    pub runs: u64,
    /// Runs that failed on purpose.
    pub failures: u64,
    /// Sum of the numbers of the jobs that succeeded.
    pub sum: u64,
    /// Sum of their squares.
    pub squares: u64,
    /// Start of the first run, by [`clock::now`]. 0 where nothing ran.
    pub first: u64,
    /// Number and start of each run, where asked for.
    pub starts: Vec<(u64, u64)>,
}

impl Probe {
    /// A probe that fires [`reached`](Self::reached) after `target` runs.
    pub fn new(target: u64, fail_once: bool, starts: bool) -> Self {
        Self {
            runs: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            squares: AtomicU64::new(0),
            first: AtomicU64::new(0),
            fail_once: fail_once.then(Mutex::default),
            starts: starts.then(Mutex::default),
            target,
            reached: Notify::new(),
        }
    }

    /// One run of job `number`.
    ///
    /// # Errors
    /// In the measure where each job fails once: the first time a number is seen.
    pub fn run(&self, number: u64) -> Result<(), FirstAttempt> {
        if self.first.load(Relaxed) == 0 || self.starts.is_some() {
            let now = clock::now();
            let _ = self.first.compare_exchange(0, now, Relaxed, Relaxed);
            if let Some(starts) = &self.starts {
                starts.lock().unwrap_or_else(PoisonError::into_inner).push((number, now));
            }
        }
        let failed = self
            .fail_once
            .as_ref()
            .is_some_and(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner).insert(number));
        if failed {
            self.failures.fetch_add(1, Relaxed);
        } else {
            self.sum.fetch_add(number, Relaxed);
            self.squares.fetch_add(number.wrapping_mul(number), Relaxed);
        }
        if self.runs.fetch_add(1, Relaxed) + 1 == self.target {
            self.reached.notify_one();
        }
        if failed { Err(FirstAttempt) } else { Ok(()) }
    }

    /// Runs so far.
    pub fn runs(&self) -> u64 {
        self.runs.load(Relaxed)
    }

    /// Returns when this process alone has done all runs.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// What was done so far.
    pub fn summary(&self) -> Summary {
        let starts = self.starts.as_ref().map(|starts| starts.lock().unwrap_or_else(PoisonError::into_inner));
        Summary {
            runs: self.runs(),
            failures: self.failures.load(Relaxed),
            sum: self.sum.load(Relaxed),
            squares: self.squares.load(Relaxed),
            first: self.first.load(Relaxed),
            starts: starts.map_or_else(Vec::new, |starts| starts.clone()),
        }
    }
}

impl Summary {
    /// The work of several processes as one.
    pub fn merged(summaries: &[Self]) -> Self {
        summaries.iter().fold(Self::default(), |mut all, one| {
            all.runs += one.runs;
            all.failures += one.failures;
            all.sum = all.sum.wrapping_add(one.sum);
            all.squares = all.squares.wrapping_add(one.squares);
            all.first = match (all.first, one.first) {
                (0, first) | (first, 0) => first,
                (left, right) => left.min(right),
            };
            all.starts.extend_from_slice(&one.starts);
            all
        })
    }

    /// What is wrong, where not every number from `0` to `jobs - 1` succeeded exactly once after `failures` failed runs.
    pub fn complaint(&self, jobs: u64, failures: u64) -> Option<String> {
        let sum: u64 = (0..jobs).sum();
        let squares = (0..jobs).fold(0_u64, |all, number| all.wrapping_add(number.wrapping_mul(number)));
        (self.runs != jobs + failures
            || self.failures != failures
            || self.sum != sum
            || self.squares != squares)
            .then(|| {
                format!(
                    "{} runs of which {} failed where {} and {failures} were due, or not each job once",
                    self.runs,
                    self.failures,
                    jobs + failures
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary_of(numbers: &[u64]) -> Summary {
        let probe = Probe::new(numbers.len() as u64, false, false);
        for number in numbers {
            probe.run(*number).expect("nothing fails on purpose");
        }
        probe.summary()
    }

    #[test]
    fn each_number_once_is_no_complaint() {
        assert_eq!(summary_of(&[2, 0, 1]).complaint(3, 0), None);
        let halves = Summary::merged(&[summary_of(&[3, 0]), summary_of(&[1, 2])]);
        assert_eq!(halves.complaint(4, 0), None);
    }

    #[test]
    fn a_job_that_ran_twice_in_place_of_another_is_noticed() {
        assert!(summary_of(&[0, 1, 1, 3]).complaint(4, 0).is_some());
        assert!(summary_of(&[0, 3, 0, 3]).complaint(4, 0).is_some(), "the same sum");
        assert!(summary_of(&[0, 1, 2]).complaint(4, 0).is_some());
    }

    #[test]
    fn each_job_fails_once() {
        let probe = Probe::new(4, true, false);
        for number in 0..2 {
            probe.run(number).expect_err("the first attempt");
        }
        for number in 0..2 {
            probe.run(number).expect("the second attempt");
        }
        assert_eq!(probe.summary().complaint(2, 2), None);
    }
}
