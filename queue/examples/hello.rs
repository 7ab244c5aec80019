//! The first program of the crate's README. `cargo run -p bedel-queue --example hello` starts a private PostgreSQL for it.

use std::collections::BTreeMap;

use bedel_postgres::testing::database;
use bedel_queue::{
    Attempt, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, drain, enqueue, migrate,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

#[derive(Serialize, Deserialize)]
struct Greet {
    name: String,
}

impl Job for Greet {
    const KIND: &'static str = "greet";
    type Context = ();
    type Output = ();

    fn policy() -> Policy {
        Policy { max_attempts: 3, ..Policy::default() }
    }

    async fn run(&self, (): &(), attempt: &Attempt) -> Result<(), JobError> {
        println!("Good morning, {}. This is attempt {}.", self.name, attempt.number);
        Ok(())
    }
}

async fn greet_everybody(pool: PgPool) -> Result<(), Box<dyn std::error::Error>> {
    let mut tx = pool.begin().await?;
    enqueue(&mut tx, &NewJob::new(&Greet { name: "Ada".to_owned() })).await?;
    enqueue(&mut tx, &NewJob::new(&Greet { name: "Grace".to_owned() })).await?;
    tx.commit().await?;

    let slots = BTreeMap::from([("greet".to_owned(), 2)]);
    let options = WorkerOptions { slots, ..WorkerOptions::default() };
    drain(Queue::new(pool), Registry::new(()).register::<Greet>(), options).await?;
    Ok(())
}

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database("hello", async |pool: PgPool| {
        migrate(&pool).await.expect("the queue's tables");
    })
    .await;
    let pool = database.pool;
    greet_everybody(pool.clone()).await?;
    let greeted: i64 = sqlx::query_scalar("SELECT count(*) FROM queue.jobs WHERE state = 'completed'")
        .fetch_one(&pool)
        .await?;
    if greeted == 2 { Ok(()) } else { Err(format!("{greeted} of 2 were greeted").into()) }
}
