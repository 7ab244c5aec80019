//! Liveness apart from work: one thread per worker process, with a runtime and a connection of its own, so that no
//! amount of work delays a beat.
//!
//! Each beat raises this worker's counter, writes the attempts' progress and reconciles both ways: attempts held here
//! that are no longer ours are cancelled, rows running under us that nobody here holds are released. Between the beats
//! it watches the others' counters and rescues what the dead left.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor, PgConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::held::Held;
use crate::rescue::{self, Others, Watch};
use crate::worker::WorkerOptions;

/// Longest pause before another try to connect, and longest wait for any answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tries to leave in order.
const LEAVES: u32 = 3;

/// Looks at the others per beat.
const LOOKS_PER_BEAT: u32 = 2;

/// Beats of an idle worker per look at what runs without a holder or without a worker.
const IDLE_BEATS: u32 = 3;

/// The running heartbeat thread.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    stop: CancellationToken,
    /// Fires when the thread has ended, however it ended.
    stopped: CancellationToken,
    look_now: Arc<Notify>,
}

impl Heartbeat {
    /// Starts the thread. `work` fires when something may have become available.
    pub(crate) fn start(
        connect: PgConnectOptions,
        id: Uuid,
        options: &WorkerOptions,
        held: &Arc<Held>,
        work: &Arc<Notify>,
    ) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let look_now = Arc::new(Notify::new());
        let stopped = CancellationToken::new();
        let ending = stopped.clone().drop_guard();
        let beating = Beating {
            connect: connect.application_name("bedel-heartbeat"),
            id,
            name: options.name.clone(),
            beat: options.beat,
            dead_after: options.dead_after,
            held: Arc::clone(held),
            work: Arc::clone(work),
            look_now: Arc::clone(&look_now),
            stop: stop.clone(),
            watch: Watch::new(options.dead_after),
            unheld: HashMap::new(),
            beats: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            let _ending = ending;
            runtime.block_on(beating.run());
        })?;
        Ok(Self { stop, stopped, look_now })
    }

    /// Fires a look at our own attempts ahead of the next beat.
    pub(crate) fn look_now(&self) -> Arc<Notify> {
        Arc::clone(&self.look_now)
    }

    /// Returns when the thread has ended by itself, which it never does but by a panic.
    pub(crate) async fn ended(&self) {
        self.stopped.cancelled().await;
    }

    /// Takes the worker's row away, unless the database is away itself, and ends the thread.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

/// A worker whose future is dropped leaves as one that is stopped does, only that nobody waits for it.
impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Beating {
    connect: PgConnectOptions,
    id: Uuid,
    name: String,
    beat: Duration,
    dead_after: Duration,
    held: Arc<Held>,
    work: Arc<Notify>,
    look_now: Arc<Notify>,
    stop: CancellationToken,
    watch: Watch,
    /// Leases running under us that were not held when last seen, with the number of claims begun by then.
    unheld: HashMap<Uuid, u64>,
    beats: u32,
}

impl Beating {
    async fn run(mut self) {
        while !self.stop.is_cancelled() {
            let stop = self.stop.clone();
            let outcome = tokio::select! {
                outcome = self.beat_on_one_connection() => outcome,
                () = stop.cancelled() => break,
            };
            // What we saw of the others says nothing once we were blind for a while.
            self.watch.forget();
            if let Err(error) = outcome {
                tracing::warn!(%error, "heartbeat interrupted; running attempts go on");
            }
            tokio::select! {
                () = tokio::time::sleep(PATIENCE.min(self.dead_after / 5)) => {}
                () = stop.cancelled() => break,
            }
        }
        for _ in 0..LEAVES {
            let patience = tokio::time::sleep(PATIENCE);
            let leave = async {
                let mut connection = self.connect.connect().await?;
                leave(&mut connection, self.id).await
            };
            if matches!(tokio::time::timeout(PATIENCE, leave).await, Ok(Ok(()))) {
                return;
            }
            // A server that is being restarted refuses at once.
            patience.await;
        }
        tracing::warn!("the worker's row stays; another worker will find it dead");
    }

    async fn beat_on_one_connection(&mut self) -> Result<(), sqlx::Error> {
        let connect = self.connect.clone();
        let mut connection = patience(connect.connect()).await?;
        // What a crash of the server takes back here is written again by the next beat.
        patience(async { connection.execute("SET synchronous_commit = off").await }).await?;
        let mut ticks = tokio::time::interval(self.beat / LOOKS_PER_BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let look_now = Arc::clone(&self.look_now);
        let mut registered = false;
        let mut tick = 0_u32;
        loop {
            let beat = tokio::select! {
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    tick % LOOKS_PER_BEAT == 1
                }
                () = look_now.notified() => true,
            };
            let others = if beat {
                let others = self.reconcile(&mut connection).await?;
                self.write_progress(&mut connection).await?;
                others
            } else {
                patience(rescue::look(&mut connection, self.id)).await?
            };
            let rescued = patience(self.watch.judge(&mut connection, &others)).await?;
            // A claim that came before our first beat got nothing.
            if rescued > 0 || !registered {
                registered = true;
                self.work.notify_one();
            }
        }
    }

    /// Beats, and compares what runs under us with what we hold. Returns what the beat saw of the others.
    async fn reconcile(&mut self, connection: &mut PgConnection) -> Result<Others, sqlx::Error> {
        let held_before = self.held.snapshot();
        let mut others = patience(beat(connection, self.id, &self.name)).await?;
        // Idle workers look seldom: only a claim whose answer was lost could have left something here.
        self.beats = self.beats.wrapping_add(1);
        if held_before.is_empty() && self.unheld.is_empty() && self.beats % IDLE_BEATS != 1 {
            return Ok(others);
        }
        let running;
        (running, others.ownerless) = patience(running_here(connection, self.id)).await?;
        let running: HashSet<Uuid> = running.into_iter().collect();
        let begun = self.held.claims_begun();
        for (lease, attempt) in &held_before {
            if !running.contains(lease) && !attempt.cancellation.is_cancelled() {
                // Ours no longer, or settled this very moment, which the cancellation does not touch.
                attempt.cancellation.cancel();
            }
        }
        let ended = self.held.claims_ended();
        let mut lost = Vec::new();
        let mut unheld = HashMap::new();
        for lease in running.into_iter().filter(|lease| !self.held.contains(*lease)) {
            match self.unheld.get(&lease) {
                Some(claims) if ended >= *claims => lost.push(lease),
                Some(claims) => drop(unheld.insert(lease, *claims)),
                None => drop(unheld.insert(lease, begun)),
            }
        }
        self.unheld = unheld;
        if !lost.is_empty() {
            tracing::warn!(jobs = lost.len(), "releasing jobs that were claimed but never arrived here");
            patience(release_unheld(connection, self.id, &lost)).await?;
            self.work.notify_one();
        }
        Ok(others)
    }

    async fn write_progress(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (mut jobs, mut leases, mut fractions) = (Vec::new(), Vec::new(), Vec::new());
        let mut told = Vec::new();
        for (lease, attempt) in self.held.snapshot() {
            if let Some(fraction) = attempt.progress.take() {
                jobs.push(attempt.job_id);
                leases.push(lease);
                fractions.push(fraction);
                told.push((lease, attempt.progress));
            }
        }
        if jobs.is_empty() {
            return Ok(());
        }
        let written = patience(write_progress(connection, &jobs, &leases, &fractions)).await;
        for (lease, progress) in told {
            if !written.as_ref().is_ok_and(|written| written.contains(&lease)) {
                progress.give_back();
            }
        }
        written.map(|_| ())
    }
}

async fn patience<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, step).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// Raises the counter (registering the worker at the first beat). Returns what there is to see of the others, as
/// `rescue::look` does between the beats. It touches no job: that this process lives must not depend on how much runs.
async fn beat(connection: &mut PgConnection, id: Uuid, name: &str) -> Result<Others, sqlx::Error> {
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
    Ok(Others::new(ids, beats))
}

/// The leases that run under this worker, and whether anything runs under a worker that has no row.
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

async fn release_unheld(connection: &mut PgConnection, id: Uuid, leases: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- heartbeat::release_unheld
         UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL, run_at = now()
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

/// Writes what the attempts told. Returns the leases it was written for: a row that somebody holds is left to the next beat.
async fn write_progress(
    connection: &mut PgConnection,
    jobs: &[Uuid],
    leases: &[Uuid],
    fractions: &[f32],
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "-- heartbeat::write_progress
         WITH told AS MATERIALIZED (
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::real[]) AS t (id, lease, progress)
         ), free AS MATERIALIZED (
             SELECT job.id FROM queue.jobs AS job JOIN told ON told.id = job.id AND told.lease = job.lease
              WHERE job.state = 'running'
              ORDER BY job.id
                FOR UPDATE OF job SKIP LOCKED
         )
         UPDATE queue.jobs AS job SET progress = told.progress
           FROM told JOIN free ON free.id = told.id
          WHERE job.id = told.id
         RETURNING job.lease",
    )
    .bind(jobs)
    .bind(leases)
    .bind(fractions)
    .fetch_all(connection)
    .await
}

/// Gives back whatever still runs under this worker, which is going, and takes its row away: nothing of a stop counts as
/// a crash.
async fn leave(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- heartbeat::leave_nothing_running
         UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL, run_at = now()
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
