//! A handler's token fires when its run ends: what it left on another thread stops beside the retry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Job, JobError, NewJob, Policy, Registry, WorkerOptions};
use serde::{Deserialize, Serialize};

use crate::support::{bench, eventually, options};

/// How the run ends while a blocking thread of it works on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Ending {
    TimesOut,
    Panics,
    Fails,
}

#[derive(Debug, Serialize, Deserialize)]
struct Blocking(Ending);

/// Threads begun and threads that saw their token fire.
type Threads = Arc<(AtomicUsize, AtomicUsize)>;

impl Job for Blocking {
    const KIND: &'static str = "blocking";
    type Context = Threads;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            max_attempts: 2,
            timeout: Duration::from_millis(300),
            backoff: Backoff { first: Duration::ZERO, max: Duration::ZERO },
            ..Policy::default()
        }
    }

    async fn run(&self, threads: &Threads, attempt: &Attempt) -> Result<(), JobError> {
        let (token, threads) = (attempt.cancellation().clone(), Arc::clone(threads));
        threads.0.fetch_add(1, Ordering::SeqCst);
        std::thread::spawn(move || {
            while !token.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
            threads.1.fetch_add(1, Ordering::SeqCst);
        });
        match self.0 {
            Ending::TimesOut => std::future::pending().await,
            Ending::Panics => panic!("a handler's bug"),
            Ending::Fails => Err(JobError::retry("network", "the line is down")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ended_in_any_way_fires_its_token() {
    for ending in [Ending::TimesOut, Ending::Panics, Ending::Fails] {
        let bench = bench().await;
        let id = bench.enqueue(NewJob::new(&Blocking(ending))).await.id;
        let threads = Threads::default();
        let options = WorkerOptions { slots: BTreeMap::from([("blocking".to_owned(), 1)]), ..options(0) };
        let worker = bench.worker_of(Registry::new(Arc::clone(&threads)).register::<Blocking>(), options);
        bench.until(id, "discarded").await;
        eventually("both threads stopped", async || threads.1.load(Ordering::SeqCst) == 2).await;
        assert_eq!(threads.0.load(Ordering::SeqCst), 2, "{ending:?}");
        worker.stop().await;
    }
}
