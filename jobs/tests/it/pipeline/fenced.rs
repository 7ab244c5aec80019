//! An attempt that lost its lease and, without a beat, does not know it.

use std::sync::Arc;
use std::time::Duration;

use bedel_jobs::environment::Context;
use bedel_queue::WorkerOptions;
use bedel_storage::keys;
use bedel_test_support::{Moment, PgProxy, Statement};
use bytes::Bytes;
use sqlx::postgres::PgPoolOptions;

use super::harness::{Harness, LECTURE, STAGES, options, settings, until_held};
use crate::environment;

/// A context whose database is behind the proxy.
pub fn behind(harness: &Harness, proxy: &PgProxy) -> Context {
    let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(proxy.options());
    let settings = settings(&harness.upstream.host());
    Arc::new(environment::create(pool, harness.directory.path(), settings, Some(harness.engine.clone())))
}

/// Options with beats so rare that the worker notices nothing.
pub fn deaf(kinds: &[&str]) -> WorkerOptions {
    WorkerOptions { beat: Duration::from_secs(3600), dead_after: Duration::from_secs(3600), ..options(kinds) }
}

/// The state that the lease guards: rows, and files under final names.
async fn guarded(harness: &Harness) -> (Vec<String>, Vec<String>) {
    let rows = sqlx::query_scalar("SELECT to_jsonb(l)::text FROM lectures AS l ORDER BY id")
        .fetch_all(harness.pool())
        .await
        .expect("the lectures");
    let finals =
        harness.files_of_lecture().into_iter().filter(|key| !key.starts_with("audio_tmp/")).collect();
    (rows, finals)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_without_its_lease_writes_no_row_and_renames_no_file() {
    // Once undisturbed, to know the statements.
    let harness = Harness::new().await;
    let proxy = harness.proxy();
    harness.start("submit").await;
    let worker = harness.worker(options(&STAGES), behind(&harness, &proxy));
    harness.until_state("transcribe", "completed").await;
    worker.stop().await;
    let statements = STAGES.map(|kind| proxy.statements_of(kind));

    let harness = Harness::new().await;
    harness.start("submit").await;
    for (kind, statements) in STAGES.into_iter().zip(statements) {
        // A transaction that holds the job's row cannot lose the lease; at every other point it can.
        let mut held = false;
        for (number, statement) in statements.iter().enumerate() {
            let taken = !held;
            held = match statement.as_str() {
                "fence::hold" | "fence::complete" => true,
                "COMMIT" => false,
                _ => held,
            };
            if taken {
                robbed(&harness, kind, number, statement).await;
            }
        }
        harness.work(&[kind], kind).await;
    }
    assert!(harness.lecture().await.is_some_and(|lecture| lecture.transcript_storage_key.is_some()));
}

async fn robbed(harness: &Harness, kind: &'static str, number: usize, statement: &str) {
    let proxy = harness.proxy();
    let mut hold = proxy.hold(Statement::OfKind(kind, number), Moment::Before);
    let worker = harness.worker(deaf(&[kind]), behind(harness, &proxy));
    until_held(&format!("{kind} before {statement}"), &mut hold).await;
    let job: (uuid::Uuid, uuid::Uuid) = sqlx::query_as(
        "WITH robber AS (
             INSERT INTO queue.workers (id, name) VALUES (gen_random_uuid(), 'robber') RETURNING id
         )
         UPDATE queue.jobs SET lease = gen_random_uuid(), worker_id = (SELECT id FROM robber)
         WHERE kind = $1 AND state = 'running' RETURNING id, lease",
    )
    .bind(kind)
    .fetch_one(harness.pool())
    .await
    .expect("the lease is another's");
    // Files that the new holder of the lease is writing.
    let written = keys::audio_temp(LECTURE, job.1);
    harness.ctx.storage.put_bytes(&written, Bytes::from_static(b"half")).await.expect("stored");
    let before = guarded(harness).await;
    hold.release();
    worker.stop().await;
    assert_eq!(guarded(harness).await, before, "{kind}: robbed before {statement} ({number})");
    let kept = harness.ctx.storage.exists(&written).await.expect("a look");
    assert!(kept, "{kind}: robbed before {statement} ({number}), it deleted what the other writes");
    harness.ctx.storage.delete(&written).await.expect("deleted");
    let jobs: (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(*) FILTER (WHERE state = 'running' AND id = $1 AND lease = $2) FROM queue.jobs
         WHERE state IN ('available', 'running')",
    )
    .bind(job.0)
    .bind(job.1)
    .fetch_one(harness.pool())
    .await
    .expect("the jobs");
    assert_eq!(jobs, (1, 1), "{kind}: the job is still the other's, and nothing follows it");
    sqlx::query("UPDATE queue.jobs SET state = 'available', lease = NULL, worker_id = NULL WHERE id = $1")
        .bind(job.0)
        .execute(harness.pool())
        .await
        .expect("given back");
}
