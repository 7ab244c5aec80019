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
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::held::Held;
use crate::rescue::Watch;
use crate::worker::WorkerOptions;

/// Longest pause before another try to connect, and longest wait for any answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tries to leave in order.
const LEAVES: u32 = 3;

/// Looks at the others per beat.
const LOOKS_PER_BEAT: u32 = 3;

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
            watch: Watch::new(id, options.dead_after),
            unheld: HashMap::new(),
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
            let leave = async {
                let mut connection = self.connect.connect().await?;
                leave(&mut connection, self.id).await
            };
            if matches!(tokio::time::timeout(PATIENCE, leave).await, Ok(Ok(()))) {
                return;
            }
        }
        tracing::warn!("the worker's row stays; another worker will find it dead");
    }

    async fn beat_on_one_connection(&mut self) -> Result<(), sqlx::Error> {
        let connect = self.connect.clone();
        let mut connection = patience(connect.connect()).await?;
        let mut ticks = tokio::time::interval(self.beat / LOOKS_PER_BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let look_now = Arc::clone(&self.look_now);
        let mut tick = 0_u32;
        loop {
            let beat = tokio::select! {
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    tick % LOOKS_PER_BEAT == 1
                }
                () = look_now.notified() => true,
            };
            if beat {
                self.reconcile(&mut connection).await?;
                self.write_progress(&mut connection).await?;
            }
            if patience(self.watch.look(&mut connection)).await? > 0 {
                self.work.notify_one();
            }
        }
    }

    /// Beats, and compares what runs under us with what we hold.
    async fn reconcile(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let held_before = self.held.snapshot();
        let running: HashSet<Uuid> =
            patience(beat(connection, self.id, &self.name)).await?.into_iter().collect();
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
        Ok(())
    }

    async fn write_progress(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let (mut jobs, mut leases, mut fractions) = (Vec::new(), Vec::new(), Vec::new());
        for (lease, attempt) in self.held.snapshot() {
            if let Some(fraction) = attempt.progress.take() {
                jobs.push(attempt.job_id);
                leases.push(lease);
                fractions.push(fraction);
            }
        }
        if jobs.is_empty() {
            Ok(())
        } else {
            patience(write_progress(connection, &jobs, &leases, &fractions)).await
        }
    }
}

async fn patience<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(PATIENCE, step).await.map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// Raises the counter (registering the worker at the first beat) and returns the leases running under it.
async fn beat(connection: &mut PgConnection, id: Uuid, name: &str) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "-- heartbeat::beat
         WITH beat AS (
             INSERT INTO queue.workers AS w (id, name, beat) VALUES ($1, $2, 1)
             ON CONFLICT (id) DO UPDATE SET beat = w.beat + 1, beat_at = now()
         )
         SELECT lease FROM queue.jobs WHERE state = 'running' AND worker_id = $1",
    )
    .bind(id)
    .bind(name)
    .fetch_all(connection)
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

async fn write_progress(
    connection: &mut PgConnection,
    jobs: &[Uuid],
    leases: &[Uuid],
    fractions: &[f32],
) -> Result<(), sqlx::Error> {
    sqlx::query(
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
          WHERE job.id = told.id",
    )
    .bind(jobs)
    .bind(leases)
    .bind(fractions)
    .execute(connection)
    .await?;
    Ok(())
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
