//! A chain of two kinds: an order's invoice is written, and its e-mail enqueued, in one transaction.
//!
//! `cargo run -p bedel-queue --example invoices` starts a private PostgreSQL and takes four orders. One meets a printer that
//! jams twice; one is from a customer whom nobody knows. It runs a worker until nothing is due, prints every job's story,
//! and ends with an error where the outcome is not the one that the queue promises.

use std::collections::BTreeMap;
use std::time::Duration;

use bedel_postgres::testing::database;
use bedel_queue::inspect::{self, Filter};
use bedel_queue::{
    Attempt, Backoff, Commit, End, Failure, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions,
    drain, enqueue,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

const TABLES: &str =
    "CREATE TABLE orders (id uuid PRIMARY KEY, customer text NOT NULL, status text NOT NULL, note text);
     CREATE TABLE invoices (order_id uuid PRIMARY KEY REFERENCES orders, text text NOT NULL)";

#[derive(Serialize, Deserialize)]
struct WriteInvoice {
    order: Uuid,
    customer: String,
}

impl Job for WriteInvoice {
    const KIND: &'static str = "write-invoice";
    type Context = ();
    type Output = String;

    fn policy() -> Policy {
        // No pause between attempts, so that one drain sees all of them.
        let backoff = Backoff { first: Duration::ZERO, max: Duration::ZERO };
        Policy { max_attempts: 5, backoff, ..Policy::default() }
    }

    async fn begin(&self, (): &(), _: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        set_status(tx, self.order, "writing", None).await?;
        Ok(())
    }

    async fn run(&self, (): &(), attempt: &Attempt) -> Result<String, JobError> {
        match self.customer.as_str() {
            "Nobody" => Err(JobError::fatal("unknown-customer", "there is no such customer")),
            "Grace" if attempt.number <= 2 => Err(JobError::retry("jam", "the printer jammed")),
            name => Ok(format!("Dear {name}, please pay.")),
        }
    }

    async fn commit(
        &self,
        (): &(),
        _: &Attempt,
        text: &String,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        set_status(tx, self.order, "written", None).await?;
        sqlx::query("INSERT INTO invoices (order_id, text) VALUES ($1, $2)")
            .bind(self.order)
            .bind(text)
            .execute(tx)
            .await?;
        let send = NewJob::new(&SendInvoice { order: self.order }).subject(self.order);
        Ok(Commit::done().then(send))
    }

    async fn attempt_failed((): &(), failure: &Failure, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Some(order) = failure.subject else { return Ok(()) };
        set_status(tx, order, "delayed", Some(&failure.message)).await
    }

    async fn ended((): &(), end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        if let Some(order) = end.subject {
            set_status(tx, order, "failed", Some(&end.message)).await?;
        }
        Ok(Vec::new())
    }
}

#[derive(Serialize, Deserialize)]
struct SendInvoice {
    order: Uuid,
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

    async fn commit(&self, (): &(), _: &Attempt, (): &(), tx: &mut PgConnection) -> Result<Commit, JobError> {
        set_status(tx, self.order, "sent", None).await?;
        Ok(Commit::done())
    }
}

async fn set_status(
    tx: &mut PgConnection,
    order: Uuid,
    status: &str,
    note: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE orders SET status = $2, note = $3 WHERE id = $1")
        .bind(order)
        .bind(status)
        .bind(note)
        .execute(tx)
        .await?;
    Ok(())
}

async fn take_order(pool: &PgPool, customer: &str) -> Result<Uuid, sqlx::Error> {
    let order = Uuid::new_v4();
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO orders (id, customer, status) VALUES ($1, $2, 'taken')")
        .bind(order)
        .bind(customer)
        .execute(&mut *tx)
        .await?;
    let write = WriteInvoice { order, customer: customer.to_owned() };
    let job = NewJob::new(&write).subject(order).unique_key(format!("invoice:{order}"));
    enqueue(&mut tx, &job).await?;
    tx.commit().await?;
    Ok(order)
}

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database("invoices", async |pool: PgPool| {
        bedel_queue::migrate(&pool).await.expect("the queue's tables");
        sqlx::raw_sql(TABLES).execute(&pool).await.expect("the shop's tables");
    })
    .await;
    let pool = database.pool;
    for customer in ["Ada", "Grace", "Nobody", "Edsger"] {
        take_order(&pool, customer).await?;
    }

    let registry = Registry::new(()).register::<WriteInvoice>().register::<SendInvoice>();
    let slots = registry.kinds().into_iter().map(|kind| (kind.to_owned(), 2)).collect::<BTreeMap<_, _>>();
    drain(Queue::new(pool.clone()), registry, WorkerOptions { slots, ..WorkerOptions::default() }).await?;

    let mut connection = pool.acquire().await?;
    let all = inspect::list(&mut connection, &Filter { limit: 20, ..Filter::default() }).await?;
    for job in all.iter().rev() {
        println!("{:<14} {:<10} attempts {}  {}", job.kind, job.state, job.attempt, job.args);
        let story = inspect::job(&mut connection, job.id).await?;
        for failure in story.into_iter().flat_map(|story| story.failures) {
            println!("    attempt {} failed: {} ({})", failure.attempt, failure.message, failure.class);
        }
    }
    let orders: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT customer, status, COALESCE(text, note)
           FROM orders LEFT JOIN invoices ON order_id = id ORDER BY customer",
    )
    .fetch_all(&pool)
    .await?;
    for order in &orders {
        println!("{order:?}");
    }
    let outcome: Vec<_> =
        orders.iter().map(|(customer, status, _)| (customer.as_str(), status.as_str())).collect();
    if outcome != [("Ada", "sent"), ("Edsger", "sent"), ("Grace", "sent"), ("Nobody", "failed")] {
        return Err("an order did not come to the end it should have".into());
    }
    if all.len() != 7 {
        return Err(format!("4 orders and 3 e-mails are 7 jobs, not {}", all.len()).into());
    }
    Ok(())
}
