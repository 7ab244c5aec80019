//! What isolation costs a fleet of spot machines: the rules of crashes and suspects in a model with seconds as steps.

use std::collections::VecDeque;

use super::{Duration, first_rest, patience, rest};

const SLOTS: usize = 8;
const KILL_EVERY: u64 = 60;
/// A killed process is back after this long, and its jobs are available again.
const RESTART: u64 = 15;
const HOURS: u64 = 10;
/// The default of `suspect_patience`.
const LEAST: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy)]
struct Job {
    length: u64,
    due: u64,
    crash_remembered: bool,
    suspect: bool,
}

#[derive(Debug, Default, Clone)]
struct Process {
    /// Ends of the jobs that run.
    running: Vec<(u64, Job)>,
    held: Option<(u64, Job)>,
    /// When it took the suspect that runs.
    suspect_since: Option<u64>,
    rest_until: u64,
    down_until: u64,
    up_since: u64,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Seconds of work in completed jobs, and the number of jobs that ran alone.
fn run(processes: usize, isolates: bool, longest: u64, seed: u64) -> (u64, u64) {
    let mut random = Random(seed);
    let mut fleet = vec![Process::default(); processes];
    let mut again: VecDeque<Job> = VecDeque::new();
    let (mut done, mut isolated) = (0, 0);
    for now in 0..HOURS * 3600 {
        if now % KILL_EVERY == 0 {
            let victim = usize::try_from(random.below(processes as u64)).unwrap();
            let dead = std::mem::take(&mut fleet[victim]);
            fleet[victim].down_until = now + RESTART;
            fleet[victim].up_since = now + RESTART;
            fleet[victim].rest_until =
                now + RESTART + first_rest(LEAST, random.below(1000) as f64 / 1000.0).as_secs();
            let alone = dead.suspect_since.is_some();
            for (_, job) in dead.running {
                let suspect = job.suspect || job.crash_remembered;
                assert!(!alone || job.suspect, "a suspect had company");
                again.push_back(Job { due: now + RESTART, crash_remembered: true, suspect, ..job });
            }
            again.extend(dead.held.map(|(_, job)| job));
        }
        for process in fleet.iter_mut().filter(|process| process.down_until <= now) {
            process.running.retain(|(end, job)| {
                if *end <= now {
                    done += job.length;
                }
                *end > now
            });
            if process.running.is_empty()
                && let Some(since) = process.suspect_since.take()
            {
                process.rest_until = now + rest(Duration::from_secs(now - since)).as_secs();
            }
            if process.suspect_since.is_some() {
                continue;
            }
            if let Some((since, job)) = process.held {
                if process.running.is_empty() {
                    process.held = None;
                    process.suspect_since = Some(since);
                    process.running.push((now + job.length, job));
                    isolated += 1;
                } else if now - since
                    > patience(
                        LEAST,
                        Duration::from_secs(since - job.due),
                        Duration::from_secs(now - process.up_since),
                    )
                    .as_secs()
                {
                    process.held = None;
                    process.rest_until = now + rest(Duration::from_secs(now - since)).as_secs();
                    again.push_front(job);
                }
                continue;
            }
            let suspect = again.iter().position(|job| job.suspect && job.due + 5 <= now);
            if let Some(place) = suspect.filter(|_| isolates && now >= process.rest_until) {
                process.held = again.remove(place).map(|job| (now, job));
                continue;
            }
            while process.running.len() < SLOTS {
                let retried = again.iter().position(|job| job.due <= now && (!isolates || !job.suspect));
                let job = retried.and_then(|place| again.remove(place)).unwrap_or_else(|| Job {
                    length: 1 + random.below(longest),
                    due: now,
                    crash_remembered: false,
                    suspect: false,
                });
                process.running.push((now + job.length, job));
            }
        }
    }
    (done, isolated)
}

#[test]
fn isolation_costs_a_fleet_of_spot_machines_at_most_a_tenth() {
    for processes in [4, 16] {
        for longest in [60, 240] {
            let (mut with, mut without, mut alone) = (0, 0, 0);
            for seed in 1..=2 {
                let (done, isolated) = run(processes, true, longest, seed);
                with += done;
                alone += isolated;
                without += run(processes, false, longest, seed).0;
            }
            println!(
                "{processes} processes, jobs up to {longest} s: {:.1} % of the work, {alone} suspects ran",
                100.0 * with as f64 / without as f64
            );
            assert!(with * 10 >= without * 9, "{with} s of work, {without} s without isolation");
            assert!(alone > 50, "suspects starve: {alone} ran");
        }
    }
}
