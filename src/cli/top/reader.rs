//! Reads the parts of a snapshot, two a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_jobs::registry::known_queues;
use bedel_jobs::{Environment, policies};
use bedel_queue::inspect::{self, Filter, JobState};
use bedel_queue::{Registry, breakers, depths, schedules, workers};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};

use super::snapshot::{Failing, Host, Kind, Lane, Running, Schedule, Snapshot, Worker};

/// Most running jobs shown.
const RUNNING_LIMIT: i64 = 200;
/// Most discarded jobs shown.
const FAILING_LIMIT: i64 = 100;
/// Most completed jobs that the throughput is computed from.
const COMPLETED_LIMIT: i64 = 1000;
/// The throughput is that of this long, in seconds.
const WINDOW: f64 = 60.0;

/// A part of the snapshot: one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Lanes,
    Depths,
    Completed,
    Running,
    Failing,
    Workers,
    Hosts,
    Schedules,
}

/// The parts read in each second, in turn: what changes fast is read more often.
const ROUND: [[Part; 2]; 6] = [
    [Part::Lanes, Part::Running],
    [Part::Depths, Part::Failing],
    [Part::Workers, Part::Running],
    [Part::Lanes, Part::Completed],
    [Part::Hosts, Part::Running],
    [Part::Depths, Part::Schedules],
];

/// Reads snapshots.
pub(super) struct Reader {
    pool: PgPool,
    registry: Registry<Arc<Environment>>,
    /// The database's time, and ours at that moment.
    clock: (DateTime<Utc>, Instant),
    turn: usize,
    snapshot: Snapshot,
}

impl Reader {
    pub(super) async fn new(pool: PgPool, registry: Registry<Arc<Environment>>) -> Result<Self, sqlx::Error> {
        let now: DateTime<Utc> = sqlx::query_scalar("-- top::now\nSELECT now()").fetch_one(&pool).await?;
        let clock = (now, Instant::now());
        Ok(Self { pool, registry, clock, turn: 0, snapshot: Snapshot::empty(now) })
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Reads every part.
    pub(super) async fn read_all(&mut self) -> Result<(), sqlx::Error> {
        let parts: Vec<Part> = ROUND.into_iter().flatten().collect();
        self.read(&parts).await
    }

    /// Reads the next two parts. An error becomes part of the snapshot.
    pub(super) async fn read_next(&mut self) {
        let parts = ROUND[self.turn % ROUND.len()];
        self.turn += 1;
        self.read_or_report(&parts).await;
    }

    /// Reads what an operator may have changed.
    pub(super) async fn read_changed(&mut self) {
        self.read_or_report(&[Part::Lanes, Part::Running, Part::Failing]).await;
    }

    async fn read_or_report(&mut self, parts: &[Part]) {
        self.snapshot.error = self.read(parts).await.err().map(|error| error.to_string());
    }

    async fn read(&mut self, parts: &[Part]) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        for part in parts {
            self.read_part(&mut connection, *part).await?;
        }
        let elapsed = TimeDelta::from_std(self.clock.1.elapsed()).unwrap_or_default();
        self.snapshot.at = self.clock.0 + elapsed;
        Ok(())
    }

    async fn read_part(&mut self, connection: &mut PgConnection, part: Part) -> Result<(), sqlx::Error> {
        match part {
            Part::Lanes => {
                let lanes = known_queues(connection, &self.registry).await?.into_iter();
                self.snapshot.lanes = lanes
                    .map(|lane| Lane {
                        name: lane.name,
                        paused: lane.paused_at.is_some(),
                        available: lane.available,
                        running: lane.running,
                    })
                    .collect();
            }
            Part::Depths => self.read_depths(connection).await?,
            Part::Completed => self.read_completed(connection).await?,
            Part::Running => {
                let jobs = list(connection, JobState::Running, RUNNING_LIMIT).await?.into_iter();
                let mut running: Vec<_> = jobs
                    .map(|job| Running {
                        job: job.id,
                        kind: job.kind,
                        worker: job.worker.unwrap_or_default(),
                        lecture: job.subject,
                        progress: job.progress,
                        since: job.attempted_at,
                    })
                    .collect();
                running.sort_by(|one, other| (&one.worker, one.job).cmp(&(&other.worker, other.job)));
                self.snapshot.running = running;
            }
            Part::Failing => {
                let jobs = list(connection, JobState::Discarded, FAILING_LIMIT).await?.into_iter();
                self.snapshot.failing = jobs
                    .map(|job| Failing {
                        job: job.id,
                        kind: job.kind,
                        lecture: job.subject,
                        attempt: job.attempt,
                        ended_at: job.finalized_at,
                        reason: job.reason.unwrap_or_default(),
                    })
                    .collect();
            }
            Part::Workers => {
                let mut views: Vec<_> = workers(connection)
                    .await?
                    .into_iter()
                    .map(|worker| Worker {
                        name: worker.name,
                        silent_seconds: worker.silent_seconds,
                        running: worker.running,
                    })
                    .collect();
                views.sort_by(|one, other| one.name.cmp(&other.name));
                self.snapshot.workers = views;
            }
            Part::Hosts => {
                let hosts = breakers(connection).await?.into_iter();
                self.snapshot.hosts = hosts
                    .filter_map(|host| {
                        Some(Host {
                            down_since: host.opened_at?,
                            name: host.group_key,
                            class: host.class,
                            message: host.message,
                        })
                    })
                    .collect();
            }
            Part::Schedules => {
                let views = schedules(connection).await?.into_iter();
                self.snapshot.schedules = views
                    .map(|schedule| Schedule {
                        name: schedule.name,
                        cron: schedule.cron,
                        last_tick: schedule.last_tick,
                        skipped: schedule.skipped,
                    })
                    .collect();
            }
        }
        Ok(())
    }

    async fn read_depths(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let kinds: Vec<&str> = policies().into_iter().map(|(kind, _)| kind).collect();
        let rates: BTreeMap<String, f64> =
            self.snapshot.kinds.drain(..).map(|kind| (kind.kind, kind.completed_per_minute)).collect();
        self.snapshot.kinds = depths(connection, &kinds)
            .await?
            .into_iter()
            .map(|depth| Kind {
                completed_per_minute: rates.get(&depth.kind).copied().unwrap_or_default(),
                kind: depth.kind,
                due: depth.due,
                scheduled: depth.scheduled,
                running: depth.running,
                oldest_seconds: depth.oldest_seconds,
            })
            .collect();
        Ok(())
    }

    async fn read_completed(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let ended: Vec<_> = list(connection, JobState::Completed, COMPLETED_LIMIT)
            .await?
            .into_iter()
            .filter_map(|job| Some((job.kind, job.finalized_at?)))
            .collect();
        let is_cut = i64::try_from(ended.len()).unwrap_or(i64::MAX) >= COMPLETED_LIMIT;
        let now = self.clock.0 + TimeDelta::from_std(self.clock.1.elapsed()).unwrap_or_default();
        let rates = rates(&ended, now, is_cut);
        for kind in &mut self.snapshot.kinds {
            kind.completed_per_minute = rates.get(kind.kind.as_str()).copied().unwrap_or_default();
        }
        Ok(())
    }
}

async fn list(
    connection: &mut PgConnection,
    state: JobState,
    limit: i64,
) -> Result<Vec<inspect::JobView>, sqlx::Error> {
    inspect::list(connection, &Filter { state: Some(state), limit, ..Filter::default() }).await
}

/// Jobs per minute by kind, from the ends of the latest jobs. If the list is cut, it may cover less than the window.
fn rates(ended: &[(String, DateTime<Utc>)], now: DateTime<Utc>, is_cut: bool) -> BTreeMap<&str, f64> {
    let age = |at: DateTime<Utc>| (now - at).to_std().unwrap_or(Duration::ZERO).as_secs_f64();
    let oldest = ended.last().map_or(WINDOW, |(_, at)| age(*at));
    let window = if is_cut { oldest.clamp(1.0, WINDOW) } else { WINDOW };
    let mut rates = BTreeMap::new();
    for (kind, at) in ended {
        if age(*at) <= window {
            *rates.entry(kind.as_str()).or_default() += 60.0 / window;
        }
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_reads_every_part() {
        let all = [
            Part::Lanes,
            Part::Depths,
            Part::Completed,
            Part::Running,
            Part::Failing,
            Part::Workers,
            Part::Hosts,
            Part::Schedules,
        ];
        for part in all {
            assert!(ROUND.into_iter().flatten().any(|read| read == part), "{part:?}");
        }
    }

    #[test]
    fn throughput_is_per_minute_also_if_the_list_is_cut() {
        let now: DateTime<Utc> = "2026-11-26T10:00:00Z".parse().unwrap();
        let ended = |seconds: &[i64]| -> Vec<_> {
            seconds.iter().map(|ago| ("probe".to_owned(), now - TimeDelta::seconds(*ago))).collect()
        };
        assert_eq!(rates(&ended(&[1, 59, 61]), now, false)["probe"], 2.0);
        assert_eq!(rates(&ended(&[1, 5, 10, 10]), now, true)["probe"], 24.0);
        assert!(rates(&[], now, false).is_empty());
    }
}
