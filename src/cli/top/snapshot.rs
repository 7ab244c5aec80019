//! The state of the queue at one time, as plain data.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

/// What `bedel top` shows. Times are the database's.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Snapshot {
    /// Time of the latest read.
    pub(super) at: DateTime<Utc>,
    /// By name.
    pub(super) lanes: Vec<Lane>,
    /// In the order of the pipeline.
    pub(super) kinds: Vec<Kind>,
    /// By worker, at most 200.
    pub(super) running: Vec<Running>,
    /// Discarded jobs, newest first, at most 100.
    pub(super) failing: Vec<Failing>,
    /// By name.
    pub(super) workers: Vec<Worker>,
    /// Hosts that are down.
    pub(super) hosts: Vec<Host>,
    /// By name.
    pub(super) schedules: Vec<Schedule>,
    /// Why the latest read failed. The rest is older then.
    pub(super) error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) paused: bool,
    /// Waiting jobs, including those scheduled for later. At most 10,000 are counted.
    pub(super) available: i64,
    pub(super) running: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Kind {
    pub(super) kind: String,
    pub(super) due: i64,
    pub(super) scheduled: i64,
    pub(super) running: i64,
    /// Wait of the oldest due job.
    pub(super) oldest_seconds: f64,
    /// Completed jobs, over the last minute or the last 1,000 jobs if those took less.
    pub(super) completed_per_minute: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Running {
    pub(super) job: Uuid,
    pub(super) kind: String,
    pub(super) worker: String,
    pub(super) lecture: Option<Uuid>,
    /// From 0 to 1.
    pub(super) progress: Option<f32>,
    pub(super) since: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Failing {
    pub(super) job: Uuid,
    pub(super) kind: String,
    pub(super) lecture: Option<Uuid>,
    pub(super) attempt: i32,
    pub(super) ended_at: Option<DateTime<Utc>>,
    pub(super) reason: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) silent_seconds: f64,
    pub(super) running: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) down_since: DateTime<Utc>,
    pub(super) class: String,
    pub(super) message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Schedule {
    pub(super) name: String,
    pub(super) cron: String,
    pub(super) last_tick: DateTime<Utc>,
    pub(super) skipped: i64,
}

impl Snapshot {
    pub(super) fn empty(at: DateTime<Utc>) -> Self {
        Self {
            at,
            lanes: Vec::new(),
            kinds: Vec::new(),
            running: Vec::new(),
            failing: Vec::new(),
            workers: Vec::new(),
            hosts: Vec::new(),
            schedules: Vec::new(),
            error: None,
        }
    }

    /// Jobs discarded in the last minute.
    pub(super) fn discarded_per_minute(&self) -> usize {
        let since = self.at - chrono::TimeDelta::seconds(60);
        self.failing.iter().filter(|job| job.ended_at.is_some_and(|at| at > since)).count()
    }
}

/// A busy queue with hostile texts.
#[cfg(test)]
pub(super) fn sample() -> Snapshot {
    let at: DateTime<Utc> = "2026-11-26T10:00:00Z".parse().unwrap();
    let ago = |seconds| at - chrono::TimeDelta::seconds(seconds);
    let lane = |name: &str, paused, available| Lane { name: name.into(), paused, available, running: 1 };
    let kind = |kind: &str, due| Kind {
        kind: kind.into(),
        due,
        scheduled: 3,
        running: 1,
        oldest_seconds: 75.0,
        completed_per_minute: 12.4,
    };
    let running = |id: u128, worker: &str| Running {
        job: Uuid::from_u128(id),
        kind: "transcribe".into(),
        worker: worker.into(),
        lecture: Some(Uuid::from_u128(id + 100)),
        progress: Some(0.426),
        since: Some(ago(4000)),
    };
    let failing = |id: u128| Failing {
        job: Uuid::from_u128(id),
        kind: "download".into(),
        lecture: None,
        attempt: 5,
        ended_at: Some(ago(30)),
        reason: "the server answered 404\u{1b}[2J\u{202e}".into(),
    };
    Snapshot {
        lanes: vec![lane("maintenance", false, 0), lane("media", false, 10_000), lane("speech", true, 7)],
        kinds: vec![kind("submit", 0), kind("download", 42), kind("transcribe", 7)],
        running: vec![running(1, "alpha:12"), running(2, "alpha:12")],
        failing: vec![failing(3), failing(4)],
        workers: vec![
            Worker { name: "alpha:12".into(), silent_seconds: 1.0, running: 2 },
            Worker { name: "beta:3".into(), silent_seconds: 2.0, running: 0 },
        ],
        hosts: vec![Host {
            name: "panopto.example".into(),
            down_since: ago(7300),
            class: "network".into(),
            message: "connection refused".into(),
        }],
        schedules: vec![Schedule {
            name: "course-sync".into(),
            cron: "17 3 * * *".into(),
            last_tick: ago(200_000),
            skipped: 0,
        }],
        ..Snapshot::empty(at)
    }
}
