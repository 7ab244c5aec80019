//! The registry's hook for discarded jobs.

use bedel_queue::{Attempt, Discarded, Job, JobError, NewJob, Policy, Registry};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::support::{Act, Bench, Lab, Step, bench, options, step};

/// A plain kind, whose ends are usually written in batches.
#[derive(Serialize, Deserialize)]
struct Doomed;

impl Job for Doomed {
    const KIND: &'static str = "doomed";
    type Context = Lab;
    type Output = ();

    fn policy() -> Policy {
        Policy::default()
    }

    async fn run(&self, _: &Lab, _: &Attempt) -> Result<(), JobError> {
        Err(JobError::fatal("gone", "it was deleted"))
    }
}

/// Notes the job, and enqueues another one.
async fn note(discarded: &Discarded, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
    sqlx::query("INSERT INTO effects (job_id, what) VALUES ($1, $2)")
        .bind(discarded.job_id)
        .bind(format!("hook:{}:{}", discarded.kind, discarded.class))
        .execute(tx)
        .await?;
    Ok(vec![step(Act::Succeed)])
}

fn registry(bench: &Bench) -> Registry<Lab> {
    Registry::new(Lab { pool: bench.pool.clone() })
        .register::<Step>()
        .register::<Doomed>()
        .on_discard(|_, discarded, tx| Box::pin(note(discarded, tx)))
}

#[tokio::test]
async fn the_registrys_hook_runs_for_every_discarded_job_and_for_no_other_end() {
    let bench = bench().await;
    let plain = bench.enqueue(NewJob::new(&Doomed)).await.id;
    let hooked = bench.enqueue(step(Act::Fatal)).await.id;
    let retried = bench.enqueue(step(Act::Retry)).await.id;
    let gone = bench.enqueue(step(Act::SubjectGone)).await.id;
    let mut options = options(4);
    options.slots.insert(Doomed::KIND.to_owned(), 1);
    let worker = bench.worker_of(registry(&bench), options);
    for job in [plain, hooked, retried] {
        bench.until(job, "discarded").await;
    }
    bench.until(gone, "cancelled").await;
    crate::support::eventually("the follow-ups", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await == 3
    })
    .await;
    worker.stop().await;
    assert_eq!(bench.effects("hook:doomed:gone").await, 1);
    assert_eq!(bench.effects("hook:step:gone").await, 1);
    assert_eq!(bench.effects("hook:step:network").await, 1, "once, for the last of three attempts");
    assert_eq!(bench.count("SELECT count(*) FROM effects WHERE what LIKE 'hook:%'").await, 3);
}
