//! Liveness apart from work: one thread per worker process with its own runtime and connection. No amount of
//! work delays a beat.
//!
//! Each beat raises this worker's counter, writes the attempts' progress and cancels attempts whose lease is lost. It
//! reads other workers' counters as well. What takes longer, rescues above all, is a repair on another connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::fleet::Fleet;
use super::in_flight::InFlight;
use super::repairs::{Repair, Repairs};
use super::worker_watch::{Beat, WorkerWatch, read_others};
use crate::dedicated_connection::{STABLE_PLANS, prepare};
use crate::fence;
use crate::options::WorkerOptions;

/// Longest wait for any answer, and longest pause before a reconnect.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Tries to remove the worker's row at a stop.
const LEAVE_TRIES: u32 = 3;

/// Reads of the other workers per beat, by those who watch all of them.
const READS_PER_BEAT: u32 = 2;

/// Beats between two looks for jobs whose worker has no row.
const OWNERLESS_BEATS: u64 = 10;

/// After a suspicion, this many beats look for rows that run here without being in flight: the server may execute a claim
/// late.
const SUSPECTED_BEATS: u64 = 10;

/// Beats between two looks for such rows although none is suspected.
const NOT_IN_FLIGHT_BEATS: u64 = 200;

/// The running heartbeat thread.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    stop: CancellationToken,
    /// Fires when the thread has ended for any reason.
    stopped: CancellationToken,
    beat_now: Arc<Notify>,
}

impl Heartbeat {
    /// Starts the thread. It fires `work` when jobs may have become available, and counts the fleet's workers.
    pub(crate) fn start(
        connect: PgConnectOptions,
        fleet: &Arc<Fleet>,
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
            fleet: Arc::clone(fleet),
            beat: options.beat,
            dead_after: options.dead_after,
            in_flight: Arc::clone(in_flight),
            work: Arc::clone(work),
            beat_now: Arc::clone(&beat_now),
            stop: stop.clone(),
            watch: WorkerWatch::new(fleet.id, options.dead_after),
            beats: 0,
            suspected: 0,
            look_until: 0,
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
    fleet: Arc<Fleet>,
    beat: Duration,
    dead_after: Duration,
    in_flight: Arc<InFlight>,
    work: Arc<Notify>,
    beat_now: Arc<Notify>,
    stop: CancellationToken,
    watch: WorkerWatch,
    beats: u64,
    /// How often rows were suspected by the last beat.
    suspected: u64,
    /// Until this beat, each beat looks for rows that are not in flight.
    look_until: u64,
}

impl BeatLoop {
    async fn run(mut self) {
        let (repairs, todo) = mpsc::unbounded_channel();
        let repairing = Repairs::new(
            self.connect.clone().application_name("bedel-repairs"),
            self.fleet.id,
            Arc::clone(&self.in_flight),
            Arc::clone(&self.work),
        );
        let repairing = AbortOnDropHandle::new(tokio::spawn(repairing.run(todo)));
        while !self.stop.is_cancelled() {
            let stop = self.stop.clone();
            let outcome = tokio::select! {
                outcome = self.beat_on_one_connection(&repairs) => outcome,
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
        drop(repairing);
        for _ in 0..LEAVE_TRIES {
            let pause = tokio::time::sleep(ANSWER_TIMEOUT);
            let leave = async {
                let mut connection = self.connect.connect().await?;
                leave(&mut connection, self.fleet.id).await
            };
            if matches!(tokio::time::timeout(ANSWER_TIMEOUT, leave).await, Ok(Ok(true))) {
                return;
            }
            // A restarting server refuses at once.
            pause.await;
        }
        tracing::warn!("the worker's row stays; another worker will find it dead and rescue what is left");
    }

    async fn beat_on_one_connection(
        &mut self,
        repairs: &mpsc::UnboundedSender<Repair>,
    ) -> Result<(), sqlx::Error> {
        let connect = self.connect.clone();
        let mut connection = with_timeout(connect.connect()).await?;
        // If a server crash loses a beat, the next beat writes it again.
        let settings = [&STABLE_PLANS[..], &[("synchronous_commit", "off")]].concat();
        with_timeout(prepare(&mut connection, &settings)).await?;
        let mut ticks = tokio::time::interval(self.beat / READS_PER_BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let beat_now = Arc::clone(&self.beat_now);
        let mut registered = false;
        let mut tick = 0_u32;
        if self.beats > 0 {
            // Answers may have been lost with the last connection.
            self.look_until = self.look_until.max(self.beats + 2);
        }
        loop {
            let beat = tokio::select! {
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    tick % READS_PER_BEAT == 1
                }
                () = beat_now.notified() => true,
            };
            if beat {
                self.beat(&mut connection, repairs).await?;
            } else if self.watch.limit().is_none() {
                let others = with_timeout(read_others(&mut connection, self.fleet.id, None)).await?;
                self.observe(&others, repairs);
            }
            if !registered {
                // A claim before our first beat got nothing.
                registered = true;
                self.work.notify_one();
            }
        }
    }

    /// Beats, and compares the attempts in flight with their rows.
    async fn beat(
        &mut self,
        connection: &mut PgConnection,
        repairs: &mpsc::UnboundedSender<Repair>,
    ) -> Result<(), sqlx::Error> {
        self.beats += 1;
        let in_flight_before = self.in_flight.snapshot();
        let (others, workers) =
            with_timeout(beat(connection, self.fleet.id, &self.fleet.name, self.watch.limit())).await?;
        self.fleet.set_workers(workers);
        self.observe(&others, repairs);
        if self.watch.is_first() && self.beats % OWNERLESS_BEATS == 1 {
            let _ = repairs.send(Repair::Ownerless);
        }
        let suspected = self.in_flight.suspected_rows();
        if suspected != self.suspected {
            self.suspected = suspected;
            self.look_until = self.beats + SUSPECTED_BEATS;
        }
        if self.beats <= self.look_until || self.beats % NOT_IN_FLIGHT_BEATS <= 1 && self.beats > 1 {
            let _ = repairs.send(Repair::NotInFlight);
        }
        if in_flight_before.is_empty() {
            return Ok(());
        }
        let ids = in_flight_before.iter().map(|(lease, attempt)| (attempt.job_id, *lease));
        let held = with_timeout(fence::held(connection, ids)).await?;
        for (lease, attempt) in &in_flight_before {
            if !held.contains(lease) && !attempt.cancellation.is_cancelled() {
                // The lease is lost, or the attempt has just ended: then the cancellation has no effect.
                attempt.cancellation.cancel();
            }
        }
        self.write_progress(connection).await
    }

    fn observe(&mut self, others: &[Beat], repairs: &mpsc::UnboundedSender<Repair>) {
        let dead = self.watch.observe(others, Instant::now());
        if !dead.is_empty() {
            let _ = repairs.send(Repair::Dead(dead));
        }
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
/// does between beats, and the planner's estimate of the number of workers. It touches no job: liveness must not depend on the number of running jobs.
async fn beat(
    connection: &mut PgConnection,
    id: Uuid,
    name: &str,
    limit: Option<i64>,
) -> Result<(Vec<Beat>, usize), sqlx::Error> {
    let (ids, beats, workers): (Vec<Uuid>, Vec<i64>, i64) = sqlx::query_as(
        "-- heartbeat::beat
         WITH beat AS (
             INSERT INTO queue.workers AS w (id, name, beat) VALUES ($1, $2, 1)
             ON CONFLICT (id) DO UPDATE SET beat = w.beat + 1, beat_at = now()
         )
         SELECT ARRAY(SELECT id FROM queue.workers WHERE id <> $1 ORDER BY id LIMIT $3),
                ARRAY(SELECT beat FROM queue.workers WHERE id <> $1 ORDER BY id LIMIT $3),
                (SELECT reltuples::bigint FROM pg_class WHERE oid = 'queue.workers'::regclass)",
    )
    .bind(id)
    .bind(name)
    .bind(limit)
    .fetch_one(connection)
    .await?;
    Ok((ids.into_iter().zip(beats).collect(), usize::try_from(workers).unwrap_or(0)))
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

/// Releases the jobs of this worker and removes its row: a stop never counts as a crash. False if a job's row is locked:
/// the row stays for as long, or the job would be ownerless.
async fn leave(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "-- heartbeat::leave_nothing_running
         UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL, run_at = least(run_at, now())
          WHERE id IN (SELECT id FROM queue.jobs WHERE state = 'running' AND worker_id = $1
                        ORDER BY id FOR UPDATE SKIP LOCKED)",
    )
    .bind(id)
    .execute(&mut *connection)
    .await?;
    let left: bool = sqlx::query_scalar(
        "-- heartbeat::leave
         WITH rest AS (
             SELECT EXISTS (SELECT FROM queue.jobs WHERE state = 'running' AND worker_id = $1) AS runs
         ), gone AS (
             DELETE FROM queue.workers USING rest WHERE id = $1 AND NOT runs
         )
         SELECT NOT runs FROM rest",
    )
    .bind(id)
    .fetch_one(connection)
    .await?;
    Ok(left)
}
