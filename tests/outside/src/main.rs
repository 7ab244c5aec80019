//! Creates the queue's schema in the database of `DATABASE_URL`, enqueues a job, runs it and checks that it completed.

use std::collections::BTreeMap;

use bedel_queue::inspect::{self, JobState};
use bedel_queue::{Attempt, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, drain, migrate};
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
        Policy::default()
    }

    async fn run(&self, (): &(), attempt: &Attempt) -> Result<(), JobError> {
        println!("Good morning, {}. This is attempt {}.", self.name, attempt.number);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = PgPool::connect(&std::env::var("DATABASE_URL")?).await?;
    migrate(&pool).await?;
    let queue = Queue::new(pool.clone());
    let job = queue.enqueue(&NewJob::new(&Greet { name: "Ada".to_owned() })).await?.id;

    let slots = BTreeMap::from([(Greet::KIND.to_owned(), 1)]);
    drain(queue, Registry::new(()).register::<Greet>(), WorkerOptions { slots, ..WorkerOptions::default() }).await?;

    let job = inspect::job(&mut *pool.acquire().await?, job).await?.ok_or("the job is gone")?;
    if job.state != JobState::Completed {
        return Err(format!("the job is {}", job.state).into());
    }
    Ok(())
}
