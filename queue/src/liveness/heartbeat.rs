//! Liveness apart from work: one thread per worker process with its own runtime and connection. No amount of
//! work delays a beat.
//!
//! Each beat raises this worker's counter, writes the attempts' progress and reconciles both ways. Attempts
//! in flight whose lease is lost are cancelled; rows that run under this worker without an attempt in flight
//! are released. Between beats it watches the other workers and rescues the jobs of dead ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor, PgConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::in_flight::InFlight;
use super::rescue::{OtherWorkers, WorkerWatch, read_others};
use crate::options::WorkerOptions;

/// Longest wait for any answer, and longest pause before a reconnect.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Tries to remove the worker's row at a stop.
const LEAVE_TRIES: u32 = 3;

/// Reads of the other workers per beat.
const READS_PER_BEAT: u32 = 2;

/// An idle worker reconciles every this many beats.
const IDLE_BEATS: u32 = 3;

/// The running heartbeat thread.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    stop: CancellationToken,
    /// Fires when the thread has ended for any reason.
    stopped: CancellationToken,
    beat_now: Arc<Notify>,
}

impl Heartbeat {
    /// Starts the thread. It fires `work` when jobs may have become available.
    pub(crate) fn start(
        connect: PgConnectOptions,
        id: Uuid,
        options: &WorkerOptions,
        in_flight: &Arc<InFlight>,
        work: &Arc<Notify>,
    ) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let beat_now = Arc::new(Notify::new());
        let stopped = CancellationToken::new();
        let ending = stopped.clone().drop_guard();
        let beat_loop = BeatLoop {
            connect: connect.application_name("bedel-heartbeat"),
            id,
            name: options.name.clone(),
            beat: options.beat,
            dead_after: options.dead_after,
            in_flight: Arc::clone(in_flight),
            work: Arc::clone(work),
            beat_now: Arc::clone(&beat_now),
            stop: stop.clone(),
            watch: WorkerWatch::new(options.dead_after),
            not_in_flight: HashMap::new(),
            beats: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            let _ending = ending;
            runtime.block_on(beat_loop.run());
        })?;
        Ok(Self { stop, stopped, beat_now })
    }

    /// Fires a beat, and so a check of our own attempts, ahead of time.
    pub(crate) fn beat_now(&self) -> Arc<Notify> {
        Arc::clone(&self.beat_now)
    }

    /// Returns when the thread has ended by itself, which only a panic causes.
    pub(crate) async fn ended(&self) {
        self.stopped.cancelled().await;
    }

    /// Removes the worker's row, unless the database is away, and ends the thread.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

/// A dropped worker leaves as a stopped one does, but without a wait.
impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct BeatLoop {
    connect: PgConnectOptions,
    id: Uuid,
    name: String,
    beat: Duration,
    dead_after: Duration,
    in_flight: Arc<InFlight>,
    work: Arc<Notify>,
    beat_now: Arc<Notify>,
    stop: CancellationToken,
    watch: WorkerWatch,
    /// Leases that ran under us but were not in flight at the last read, with the number of claims begun by
    /// then.
    not_in_flight: HashMap<Uuid, u64>,
    beats: u32,
}

impl BeatLoop {
    async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let stop = self.stop.clone();
            let outcome = tokio::select! {
                outcome = self.beat_on_one_connection() => outcome,
                () = stop.cancelled() => break,
            };
            // After an interruption, earlier reads of the other workers prove nothing.
            self.watch.reset();
            if let Err(error) = outcome {
                tracing::warn!(%error, "heartbeat interrupted; running attempts continue");
            }
            tokio::select! {
                () = tokio::time::sleep(ANSWER_TIMEOUT.min(self.dead_after / 5)) => {}
                () = stop.cancelled() => break,
            }
        }
        for _ in 0..LEAVE_TRIES {
            let pause = tokio::time::sleep(ANSWER_TIMEOUT);
            let leave = async {
                let mut connection = self.connect.connect().await?;
                leave(&mut connection, self.id).await
            };
            if matches!(tokio::time::timeout(ANSWER_TIMEOUT, leave).await, Ok(Ok(()))) {
                return;
            }
            // A restarting server refuses at once.
            pause.await;
        }
        tracing::warn!("the worker's row stays; another worker will find it dead");
    }

    async fn beat_on_one_connection(&mut self) -> Result<(), sqlx::Error> {
        let connect = self.connect.clone();
        let mut connection = with_timeout(connect.connect()).await?;
        // If a server crash loses a beat, the next beat writes it again.
        with_timeout(async { connection.execute("SET synchronous_commit = off").await }).await?;
        let mut ticks = tokio::time::interval(self.beat / READS_PER_BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let beat_now = Arc::clone(&self.beat_now);
        let mut registered = false;
        let mut tick = 0_u32;
        loop {
            let beat = tokio::select! {
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    tick % READS_PER_BEAT == 1
                }
                () = beat_now.notified() => true,
            };
            let others = if beat {
                let others = self.reconcile(&mut connection).await?;
                self.write_progress(&mut connection).await?;
                others
            } else {
                with_timeout(read_others(&mut connection, self.id)).await?
            };
            let rescued = with_timeout(self.watch.rescue_from_dead(&mut connection, &others)).await?;
            // A claim before our first beat got nothing.
            if rescued > 0 || !registered {
                registered = true;
                self.work.notify_one();
            }
        }
    }

    /// Beats, and compares the rows running under us with the attempts in flight. Returns the beat's read of
    /// the others.
    async fn reconcile(&mut self, connection: &mut PgConnection) -> Result<OtherWorkers, sqlx::Error> {
        let in_flight_before = self.in_flight.snapshot();
        let mut others = with_timeout(beat(connection, self.id, &self.name)).await?;
        // Idle workers check rarely: only a claim with a lost answer could have left a row.
        self.beats = self.beats.wrapping_add(1);
        if in_flight_before.is_empty() && self.not_in_flight.is_empty() && self.beats % IDLE_BEATS != 1 {
            return Ok(others);
        }
        let running;
        (running, others.have_ownerless_jobs) = with_timeout(running_here(connection, self.id)).await?;
        let running: HashSet<Uuid> = running.into_iter().collect();
        let begun = self.in_flight.claims_begun();
        for (lease, attempt) in &in_flight_before {
            if !running.contains(lease) && !attempt.cancellation.is_cancelled() {
                // The lease is lost, or the attempt has just ended: then the cancellation has no effect.
                attempt.cancellation.cancel();
            }
        }
        let ended = self.in_flight.claims_ended();
        let mut lost = Vec::new();
        let mut not_in_flight = HashMap::new();
        for lease in running.into_iter().filter(|lease| !self.in_flight.contains(*lease)) {
            match self.not_in_flight.get(&lease) {
                Some(claims) if ended >= *claims => lost.push(lease),
                Some(claims) => drop(not_in_flight.insert(lease, *claims)),
                None => drop(not_in_flight.insert(lease, begun)),
            }
        }
        self.not_in_flight = not_in_flight;
        if !lost.is_empty() {
            tracing::warn!(jobs = lost.len(), "releasing claimed jobs that never arrived here");
            with_timeout(release_lost(connection, self.id, &lost)).await?;
            self.work.notify_one();
        }
        Ok(others)
    }

    async fn write_progress(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (mut jobs, mut leases, mut fractions) = (Vec::new(), Vec::new(), Vec::new());
        let mut reports = Vec::new();
        for (lease, attempt) in self.in_flight.snapshot() {
            if let Some(fraction) = attempt.progress.take() {
                jobs.push(attempt.job_id);
                leases.push(lease);
                fractions.push(fraction);
                reports.push((lease, attempt.progress));
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let written = with_timeout(write_progress(connection, &jobs, &leases, &fractions)).await;
        for (lease, progress) in reports {
            if !written.as_ref().is_ok_and(|written| written.contains(&lease)) {
                progress.give_back();
            }
        }
        written.map(|_| ())
    }
}

async fn with_timeout<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER_TIMEOUT, step).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// Raises the counter; the first beat registers the worker. Returns a read of the others, as `read_others`
/// does between beats. It touches no job: liveness must not depend on the number of running jobs.
async fn beat(connection: &mut PgConnection, id: Uuid, name: &str) -> Result<OtherWorkers, sqlx::Error> {
    let (ids, beats) = sqlx::query_as(
        "-- heartbeat::beat
         WITH beat AS (
             INSERT INTO queue.workers AS w (id, name, beat) VALUES ($1, $2, 1)
             ON CONFLICT (id) DO UPDATE SET beat = w.beat + 1, beat_at = now()
         )
         SELECT ARRAY(SELECT id FROM queue.workers WHERE id <> $1 ORDER BY id),
                ARRAY(SELECT beat FROM queue.workers WHERE id <> $1 ORDER BY id)",
    )
    .bind(id)
    .bind(name)
    .fetch_one(connection)
    .await?;
    Ok(OtherWorkers::new(ids, beats))
}

/// The leases that run under this worker, and whether any job runs under a worker without a row.
async fn running_here(connection: &mut PgConnection, id: Uuid) -> Result<(Vec<Uuid>, bool), sqlx::Error> {
    sqlx::query_as(
        "-- heartbeat::running_here
         SELECT ARRAY(SELECT lease FROM queue.jobs WHERE state = 'running' AND worker_id = $1),
                EXISTS (SELECT FROM queue.jobs AS job
                         WHERE job.state = 'running'
                           AND NOT EXISTS (SELECT FROM queue.workers AS w WHERE w.id = job.worker_id))",
    )
    .bind(id)
    .fetch_one(connection)
    .await
}

async fn release_lost(connection: &mut PgConnection, id: Uuid, leases: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- heartbeat::release_lost
         UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL, run_at = least(run_at, now())
          WHERE id IN (SELECT id FROM queue.jobs
                        WHERE state = 'running' AND worker_id = $1 AND lease = ANY ($2)
                        ORDER BY id FOR UPDATE SKIP LOCKED)",
    )
    .bind(id)
    .bind(leases)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes the attempts' progress. Returns the leases it was written for; locked rows are left to the next
/// beat.
async fn write_progress(
    connection: &mut PgConnection,
    jobs: &[Uuid],
    leases: &[Uuid],
    fractions: &[f32],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(include_str!("../../sql/write_progress.sql"))
        .bind(jobs)
        .bind(leases)
        .bind(fractions)
        .fetch_all(connection)
        .await
}

/// Releases all jobs of this worker and removes its row: a stop never counts as a crash.
async fn leave(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- heartbeat::leave_nothing_running
         UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL, run_at = least(run_at, now())
          WHERE id IN (SELECT id FROM queue.jobs WHERE state = 'running' AND worker_id = $1 ORDER BY id FOR UPDATE)",
    )
    .bind(id)
    .execute(&mut *connection)
    .await?;
    sqlx::query("-- heartbeat::leave\nDELETE FROM queue.workers WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}
