//! Repairs apart from the beats: jobs of dead workers become available again, and so do jobs that were claimed for this
//! process but never arrived.
//!
//! They have their own connection and their own patience. Their statements may be slow, as an old snapshot keeps the
//! index entries of jobs that ended, and a beat must not wait for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use uuid::Uuid;

use super::in_flight::InFlight;
use super::worker_watch::Beat;
use crate::dedicated_connection::{STABLE_PLANS, prepare};

/// Longest time for all repairs of one connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause after a repair failed.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Pause before another look at rows that were locked.
const LOCKED_PAUSE: Duration = Duration::from_secs(1);

/// What to repair.
#[derive(Debug)]
pub(super) enum Repair {
    /// These workers are dead.
    Dead(Vec<Beat>),
    /// Jobs may run under workers without a row.
    Ownerless,
    /// Jobs may run under this worker that are not in flight.
    NotInFlight,
}

/// Repairs, one after another.
#[derive(Debug)]
pub(super) struct Repairs {
    connect: PgConnectOptions,
    own_id: Uuid,
    in_flight: Arc<InFlight>,
    /// Fired when jobs became available.
    work: Arc<Notify>,
    todo: Todo,
    /// Leases that ran under us but were not in flight at the last look, each with the number of claims begun by then.
    not_in_flight: HashMap<Uuid, u64>,
}

#[derive(Debug, Default)]
struct Todo {
    dead: Vec<Beat>,
    /// Workers without a row whose jobs are still to be rescued.
    gone: HashSet<Uuid>,
    ownerless: bool,
    not_in_flight: bool,
}

impl Todo {
    fn add(&mut self, repair: Repair) {
        match repair {
            Repair::Dead(dead) => self.dead.extend(dead),
            Repair::Ownerless => self.ownerless = true,
            Repair::NotInFlight => self.not_in_flight = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.dead.is_empty() && self.gone.is_empty() && !self.ownerless && !self.not_in_flight
    }
}

impl Repairs {
    pub(super) fn new(
        connect: PgConnectOptions,
        own_id: Uuid,
        in_flight: Arc<InFlight>,
        work: Arc<Notify>,
    ) -> Self {
        Self { connect, own_id, in_flight, work, todo: Todo::default(), not_in_flight: HashMap::new() }
    }

    /// Repairs until the sender is dropped.
    pub(super) async fn run(mut self, mut repairs: mpsc::UnboundedReceiver<Repair>) {
        loop {
            if self.todo.is_empty() {
                let Some(repair) = repairs.recv().await else { return };
                self.todo.add(repair);
            }
            while let Ok(repair) = repairs.try_recv() {
                self.todo.add(repair);
            }
            let outcome = timeout(PATIENCE, self.repair()).await;
            if let Err(error) = outcome.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
                // A verdict is as old as its reads: who is dead still will be found again.
                self.todo.dead.clear();
                metrics::counter!("bedel_queue_failed_repairs_total").increment(1);
                tracing::warn!(%error, "jobs of dead workers could not be rescued; will retry");
                tokio::time::sleep(RETRY_PAUSE).await;
            } else if !self.todo.is_empty() {
                tokio::time::sleep(LOCKED_PAUSE).await;
            }
        }
    }

    async fn repair(&mut self) -> Result<(), sqlx::Error> {
        let mut connection = self.connect.connect().await?;
        prepare(&mut connection, &STABLE_PLANS).await?;
        while let Some(&(id, beat)) = self.todo.dead.last() {
            if remove_worker(&mut connection, id, beat).await? {
                self.todo.gone.insert(id);
            }
            self.todo.dead.pop();
        }
        if self.todo.ownerless {
            self.todo.gone.extend(ownerless_workers(&mut connection).await?);
            self.todo.ownerless = false;
        }
        if !self.todo.gone.is_empty() {
            let gone: Vec<Uuid> = self.todo.gone.iter().copied().collect();
            let rescued = rescue_jobs_of(&mut connection, &gone).await?;
            self.todo.gone = left_of(&mut connection, &gone).await?.into_iter().collect();
            if rescued > 0 {
                tracing::warn!(jobs = rescued, "rescued jobs of dead workers");
                self.work.notify_one();
            }
        }
        if self.todo.not_in_flight {
            self.release_what_never_arrived(&mut connection).await?;
            self.todo.not_in_flight = false;
        }
        Ok(())
    }

    /// A job counts as lost at the second look, once all claims begun by the first one have ended.
    async fn release_what_never_arrived(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let running = running_here(connection, self.own_id).await?;
        let begun = self.in_flight.claims_begun();
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
            release_lost(connection, self.own_id, &lost).await?;
            self.work.notify_one();
        }
        Ok(())
    }
}

/// Removes the dead worker's row unless it has beaten since. True if it was there: its running jobs are ownerless then.
async fn remove_worker(connection: &mut PgConnection, id: Uuid, beat: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("-- rescue::remove_worker\nDELETE FROM queue.workers WHERE id = $1 AND beat = $2")
        .bind(id)
        .bind(beat)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Workers without a row under which jobs run: a rescuer died before it was done.
async fn ownerless_workers(connection: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "-- rescue::ownerless_workers
         SELECT DISTINCT worker_id FROM queue.jobs AS job
          WHERE state = 'running'
            AND NOT EXISTS (SELECT FROM queue.workers AS w WHERE w.id = job.worker_id)",
    )
    .fetch_all(connection)
    .await
}

/// Makes running rows of these workers available, unless they have a row after all. Locked rows are left to the next try:
/// one slow transaction must not delay all other rescues.
async fn rescue_jobs_of(connection: &mut PgConnection, workers: &[Uuid]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(include_str!("../../sql/rescue.sql")).bind(workers).execute(connection).await?;
    Ok(done.rows_affected())
}

/// Of these workers, those under which jobs still run without a row: the jobs' rows were locked.
async fn left_of(connection: &mut PgConnection, workers: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "-- rescue::left_of
         SELECT DISTINCT worker_id FROM queue.jobs AS job
          WHERE state = 'running' AND worker_id = ANY ($1)
            AND NOT EXISTS (SELECT FROM queue.workers AS w WHERE w.id = job.worker_id)",
    )
    .bind(workers)
    .fetch_all(connection)
    .await
}

/// The leases that run under this worker.
async fn running_here(connection: &mut PgConnection, id: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "-- rescue::running_here\nSELECT lease FROM queue.jobs WHERE state = 'running' AND worker_id = $1",
    )
    .bind(id)
    .fetch_all(connection)
    .await
}

async fn release_lost(connection: &mut PgConnection, id: Uuid, leases: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "-- rescue::release_lost
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
