//! A worker's slots and timing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use bedel_queue::Policy;
use clap::Args;

use super::parse;

/// A worker's slots and timing.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Worker")]
pub struct WorkerOptions {
    /// Jobs of each kind to run at once. Kinds that are not listed are left to other workers. A transcribe
    /// slot takes one CPU; the embedded engine runs at most one per core
    #[arg(
        long,
        env = "BEDEL_SLOTS",
        value_name = "KIND=N,…",
        default_value_t = Slots::default()
    )]
    pub slots: Slots,

    /// Address and port for Prometheus metrics at /metrics. /readyz there says whether an engine is available
    /// for the transcribe slots
    #[arg(long, env = "BEDEL_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// Seconds between two heartbeats
    #[arg(long, env = "BEDEL_BEAT_SECONDS", default_value = "3", value_parser = parse::seconds, value_name = "SECONDS")]
    pub beat_seconds: Duration,

    /// Seconds without a heartbeat after which a worker's jobs are rescued
    #[arg(long, env = "BEDEL_DEAD_AFTER_SECONDS", default_value = "10", value_parser = parse::seconds, value_name = "SECONDS")]
    pub dead_after_seconds: Duration,

    /// Seconds between two polls without a notification
    #[arg(long, env = "BEDEL_POLL_SECONDS", default_value = "1", value_parser = parse::seconds, value_name = "SECONDS")]
    pub poll_seconds: Duration,

    /// Seconds for running jobs to finish after SIGTERM; unfinished jobs are released (`bedel dev`: 5)
    #[arg(long, env = "BEDEL_DRAIN_SECONDS", default_value = "30", value_parser = parse::seconds, value_name = "SECONDS")]
    pub drain_seconds: Duration,
}

impl WorkerOptions {
    /// Checks the values against each other.
    ///
    /// # Errors
    /// If they conflict. The text names the variables and what to write.
    pub fn check(&self, kinds: &[&'static str]) -> Result<(), String> {
        if self.dead_after_seconds < self.beat_seconds * 2 {
            return Err(format!(
                "BEDEL_DEAD_AFTER_SECONDS ({}) must be at least twice BEDEL_BEAT_SECONDS ({}): a worker that \
                 misses one beat is not dead",
                self.dead_after_seconds.as_secs_f64(),
                self.beat_seconds.as_secs_f64()
            ));
        }
        match self.slots.0.keys().find(|kind| !kinds.contains(&kind.as_str())) {
            Some(kind) => {
                Err(format!("BEDEL_SLOTS: there is no job kind {kind:?}; the kinds are {}", kinds.join(", ")))
            }
            None => Ok(()),
        }
    }
}

/// Slots by job kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots(pub BTreeMap<String, usize>);

/// The slots of each kind's policy.
impl Default for Slots {
    fn default() -> Self {
        let slots = |policy: Policy| usize::try_from(policy.slots).unwrap_or(usize::MAX);
        Self(
            bedel_jobs::policies()
                .into_iter()
                .map(|(kind, policy)| (kind.to_owned(), slots(policy)))
                .collect(),
        )
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> = self.0.iter().map(|(kind, count)| format!("{kind}={count}")).collect();
        f.write_str(&pairs.join(","))
    }
}

impl FromStr for Slots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut slots = BTreeMap::new();
        for part in parse::list(text) {
            let pair = part.split_once('=').map(|(kind, count)| (kind.trim(), count.trim().parse::<usize>()));
            let Some((kind, Ok(count @ 0..=256))) = pair else {
                return Err(format!(
                    "{part:?} is not kind=number (at most 256): write submit=4,download=4,…"
                ));
            };
            if slots.insert(kind.to_owned(), count).is_some() {
                return Err(format!("{kind} is repeated"));
            }
        }
        slots.retain(|_, count| *count > 0);
        if slots.is_empty() {
            return Err("a worker needs at least one slot: write submit=4,download=4,…".to_owned());
        }
        Ok(Self(slots))
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn slots_are_kind_and_number() {
        let slots: Slots = "download=4, transcribe=1,probe=0".parse().unwrap();
        assert_eq!(
            slots.0.into_iter().collect::<Vec<_>>(),
            [("download".to_owned(), 4), ("transcribe".to_owned(), 1)]
        );
        for bad in
            ["", "download", "download=x", "download=-1", "download=1,download=2", "download=0", "a=1000"]
        {
            assert!(bad.parse::<Slots>().is_err(), "{bad}");
        }
    }
}
