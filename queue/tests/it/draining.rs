//! `drain` runs only due jobs, and it ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bedel_queue::{WorkerError, WorkerOptions, drain, pause, resume};
use uuid::Uuid;

use crate::support::{Act, Bench, bench, eventually, options, registry, step};

impl Bench {
    /// A drain that must end soon.
    async fn drain(&self, options: WorkerOptions) -> Result<(), WorkerError> {
        let drain = drain(self.queue.clone(), registry(&self.pool), options);
        tokio::time::timeout(Duration::from_secs(10), drain).await.expect("the drain ends")
    }

    async fn drained(&self) {
        self.drain(options(2)).await.unwrap();
    }

    pub async fn paused(&self, queue: &str) {
        pause(&mut self.pool.acquire().await.unwrap(), queue).await.unwrap();
    }

    pub async fn resumed(&self, queue: &str) {
        resume(&mut self.pool.acquire().await.unwrap(), queue).await.unwrap();
    }

    /// Gives a waiting job a counted crash.
    async fn suspect(&self, id: Uuid) {
        sqlx::query("UPDATE queue.jobs SET crashes = 1, attempt = 1 WHERE id = $1")
            .bind(id)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Moves a waiting job into another queue, as an SQL producer may.
    async fn move_to(&self, id: Uuid, queue: &str) {
        sqlx::query("UPDATE queue.jobs SET queue = $2 WHERE id = $1")
            .bind(id)
            .bind(queue)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_empty_queue_is_drained_at_once() {
    let bench = bench().await;
    let started = Instant::now();
    bench.drained().await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_drain_runs_a_chain_to_its_end() {
    let bench = bench().await;
    bench.enqueue(step(Act::Chain).subject(Uuid::new_v4())).await;
    bench.drained().await;
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await, 2);
    assert_eq!(bench.effects("commit").await, 2, "the chain's successor is one of them");
    assert_eq!(bench.count("SELECT count(*) FROM queue.workers").await, 0, "the worker has left");
}

#[tokio::test]
async fn jobs_of_every_priority_are_drained_with_and_without_a_group() {
    let bench = bench().await;
    for priority in 1..=4 {
        let only = bench.enqueue(step(Act::Succeed).priority(priority)).await.id;
        bench.drained().await;
        assert_eq!(bench.state(only).await, "completed", "priority {priority}");
        let later = step(Act::Succeed).group_key("a").delay(Duration::from_secs(600));
        bench.enqueue(later).await;
        let only = bench.enqueue(step(Act::Succeed).priority(priority).group_key("b")).await.id;
        bench.drained().await;
        assert_eq!(bench.state(only).await, "completed", "priority {priority} with a group");
    }
}

#[tokio::test]
async fn a_drain_waits_for_what_runs_and_for_what_another_worker_runs() {
    let bench = bench().await;
    let slow = bench.enqueue(step(Act::Sleep(1000))).await.id;
    let other = bench.worker(options(1));
    bench.until(slow, "running").await;
    let own = bench.enqueue(step(Act::Sleep(300))).await.id;
    bench.drained().await;
    assert_eq!(bench.state(slow).await, "completed");
    assert_eq!(bench.state(own).await, "completed");
    other.stop().await;
}

#[tokio::test]
async fn a_drain_that_is_cut_off_looks_again() {
    let bench = bench().await;
    let slow = bench.enqueue(step(Act::Sleep(1500))).await.id;
    let cut_off = async {
        bench.until(slow, "running").await;
        // Every idle check reads this table: the next one waits for the lock and loses its connection.
        let mut blocker = bench.pool.begin().await.unwrap();
        sqlx::query("LOCK TABLE queue.queues").execute(&mut *blocker).await.unwrap();
        eventually("a look is cut off", async || {
            bench
                .count(
                    "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE datname = current_database() AND application_name = 'bedel-drain'
                        AND wait_event_type = 'Lock') AS ended",
                )
                .await
                > 0
        })
        .await;
        blocker.rollback().await.unwrap();
    };
    tokio::join!(bench.drained(), cut_off);
    assert_eq!(bench.state(slow).await, "completed");
}

#[tokio::test]
async fn what_is_due_later_ends_a_drain_and_is_run_by_the_next() {
    let bench = bench().await;
    let later = bench.enqueue(step(Act::Succeed).delay(Duration::from_secs(600))).await.id;
    let waits = bench.enqueue(step(Act::Wait(600_000))).await.id;
    let retries = bench.enqueue(step(Act::RetryAfter(1500))).await.id;
    let at_once = bench.enqueue(step(Act::RetryAfter(0))).await.id;
    bench.drained().await;
    for id in [later, waits, retries] {
        assert_eq!(bench.state(id).await, "available");
    }
    assert_eq!(bench.counters(retries).await, (1, 1, 0), "its retry is not due");
    assert_eq!(bench.counters(at_once).await, (3, 3, 0), "its retries were due at once");
    assert_eq!(bench.state(at_once).await, "discarded");
    eventually("the retry is due", async || {
        bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'available' AND run_at <= now()").await
            == 1
    })
    .await;
    bench.drained().await;
    assert_eq!(bench.counters(retries).await, (2, 2, 0));
}

#[tokio::test]
async fn jobs_that_count_a_crash_are_drained_too() {
    let bench = bench().await;
    // Several times, since a worker may be faster than the first check.
    for _ in 0..5 {
        let suspect = bench.enqueue(step(Act::Succeed)).await.id;
        bench.suspect(suspect).await;
        bench.drained().await;
        assert_eq!(bench.state(suspect).await, "completed");
    }
}

#[tokio::test]
async fn only_the_kinds_that_have_slots_are_drained() {
    let bench = bench().await;
    let left = bench.enqueue(step(Act::Succeed)).await.id;
    let no_slots = WorkerOptions { slots: BTreeMap::from([("step".to_owned(), 0)]), ..options(1) };
    bench.drain(no_slots).await.unwrap();
    assert_eq!(bench.state(left).await, "available");
}

#[tokio::test]
async fn a_drain_that_can_never_end_is_refused() {
    let bench = bench().await;
    let unknown = WorkerOptions { slots: BTreeMap::from([("no-such-kind".to_owned(), 1)]), ..options(1) };
    let refused = bench.drain(unknown).await;
    assert!(matches!(refused, Err(WorkerError::UnknownKind(..))), "{refused:?}");
    sqlx::query("DROP SCHEMA queue CASCADE").execute(&bench.pool).await.unwrap();
    let refused = bench.drain(options(1)).await;
    assert!(matches!(refused, Err(WorkerError::Database(_))), "{refused:?}");
}

#[tokio::test]
async fn a_paused_queue_is_left_alone_and_does_not_hold_up_a_drain() {
    let bench = bench().await;
    let held = bench.enqueue(step(Act::Succeed)).await.id;
    let suspect = bench.enqueue(step(Act::Succeed)).await.id;
    let grouped = bench.enqueue(step(Act::Succeed).group_key("g")).await.id;
    let free = bench.enqueue(step(Act::Succeed)).await.id;
    for id in [held, suspect, grouped] {
        bench.move_to(id, "other").await;
    }
    bench.suspect(suspect).await;
    bench.paused("other").await;
    bench.drained().await;
    assert_eq!(bench.state(free).await, "completed");
    for id in [held, suspect, grouped] {
        assert_eq!(bench.state(id).await, "available");
    }
    bench.resumed("other").await;
    bench.drained().await;
    for id in [held, suspect, grouped] {
        assert_eq!(bench.state(id).await, "completed");
    }
}

#[tokio::test]
async fn a_kind_whose_own_queue_is_paused_does_not_hold_up_a_drain() {
    let bench = bench().await;
    let held = bench.enqueue(step(Act::Succeed)).await.id;
    let elsewhere = bench.enqueue(step(Act::Succeed)).await.id;
    bench.move_to(elsewhere, "other").await;
    bench.paused("default").await;
    bench.drained().await;
    assert_eq!(bench.state(held).await, "available");
    assert_eq!(bench.state(elsewhere).await, "available", "nothing of the kind is claimed");
    bench.resumed("default").await;
    bench.drained().await;
    assert_eq!(bench.state(elsewhere).await, "completed");
}
