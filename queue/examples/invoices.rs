//! A job that is no lecture: an invoice is written and its e-mail enqueued in one transaction.
//!
//! `cargo run -p bedel-queue --example invoices` starts a private PostgreSQL, enqueues three invoices, of which one
//! meets a printer that jams twice, runs a worker until nothing is left and prints the story.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_postgres::testing::database;
use bedel_queue::{
    Attempt, Backoff, Commit, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, enqueue,
    inspect, run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

#[derive(Serialize, Deserialize)]
struct WriteInvoice {
    customer: String,
    /// Attempts during which the printer jams.
    jams: i32,
}

impl Job for WriteInvoice {
    const KIND: &'static str = "write-invoice";
    type Context = ();
    type Output = String;

    fn policy() -> Policy {
        let backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(1) };
        Policy { max_attempts: 5, backoff, ..Policy::default() }
    }

    async fn run(&self, (): &(), attempt: &Attempt) -> Result<String, JobError> {
        if attempt.number <= self.jams {
            return Err(JobError::retry("jam", "the printer jammed"));
        }
        Ok(format!("Dear {}, please pay.", self.customer))
    }

    async fn commit(
        &self,
        (): &(),
        _: &Attempt,
        text: &String,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        sqlx::query("INSERT INTO invoices (text) VALUES ($1)").bind(text).execute(tx).await?;
        Ok(Commit::done().then(NewJob::new(&SendInvoice { customer: self.customer.clone() })))
    }
}

#[derive(Serialize, Deserialize)]
struct SendInvoice {
    customer: String,
}

impl Job for SendInvoice {
    const KIND: &'static str = "send-invoice";
    type Context = ();
    type Output = ();

    fn policy() -> Policy {
        Policy::default()
    }

    async fn run(&self, (): &(), _: &Attempt) -> Result<(), JobError> {
        Ok(())
    }

    async fn commit(&self, (): &(), _: &Attempt, (): &(), _: &mut PgConnection) -> Result<Commit, JobError> {
        Ok(Commit::done())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database("invoices", async |pool: PgPool| {
        for ddl in [bedel_queue::SCHEMA, "CREATE TABLE invoices (text text)"] {
            sqlx::raw_sql(ddl).execute(&pool).await.expect("a fresh database takes the tables");
        }
    })
    .await;
    let pool = database.pool;
    let queue = Queue::new(pool.clone());

    let mut tx = pool.begin().await?;
    for (customer, jams) in [("Ada", 0), ("Grace", 2), ("Edsger", 0)] {
        enqueue(&mut tx, &NewJob::new(&WriteInvoice { customer: customer.to_owned(), jams })).await?;
    }
    tx.commit().await?;
    queue.wake();

    let registry = Registry::new(()).register::<WriteInvoice>().register::<SendInvoice>();
    let slots = registry.kinds().into_iter().map(|kind| (kind.to_owned(), 2)).collect::<BTreeMap<_, _>>();
    let stop = CancellationToken::new();
    let worker = tokio::spawn(run_worker(
        queue,
        registry,
        WorkerOptions { slots, ..WorkerOptions::default() },
        stop.clone(),
    ));

    let mut connection = pool.acquire().await?;
    let six = inspect::Filter {
        state: Some(inspect::JobState::Completed),
        limit: 10,
        ..inspect::Filter::default()
    };
    while inspect::list(&mut connection, &six).await?.len() < 6 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    worker.await??;

    for job in inspect::list(&mut connection, &six).await?.iter().rev() {
        println!("{:<14} {:<10} attempts {}  {}", job.kind, job.state, job.attempt, job.args);
        let story = inspect::job(&mut connection, job.id).await?;
        for failure in story.into_iter().flat_map(|story| story.failures) {
            println!("    attempt {} failed: {} ({})", failure.attempt, failure.message, failure.class);
        }
    }
    let invoices: Vec<String> = sqlx::query_scalar("SELECT text FROM invoices").fetch_all(&pool).await?;
    println!("invoices: {invoices:?}");
    Ok(())
}
