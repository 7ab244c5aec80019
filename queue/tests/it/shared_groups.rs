//! A limit per group holds over kinds and over workers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bedel_queue::{
    Attempt, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, drain, enqueue_many,
};
use serde::{Deserialize, Serialize};

use crate::support::{bench, options};

/// How many work now, and the most there were.
#[derive(Debug, Clone, Default)]
struct Crowd(Arc<Mutex<(u32, u32)>>);

impl Crowd {
    async fn work(&self) {
        self.change(|(now, most)| {
            *now += 1;
            *most = (*most).max(*now);
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.change(|(now, _)| *now -= 1);
    }

    fn change<T>(&self, change: impl FnOnce(&mut (u32, u32)) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Serialize, Deserialize)]
struct Read {}

impl Job for Read {
    const KIND: &'static str = "read";
    type Context = Crowd;
    type Output = ();

    fn policy() -> Policy {
        Policy { group_limit: Some(2), ..Policy::default() }
    }

    async fn run(&self, crowd: &Crowd, _: &Attempt) -> Result<(), JobError> {
        crowd.work().await;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Write {}

impl Job for Write {
    const KIND: &'static str = "write";
    type Context = Crowd;
    type Output = ();

    fn policy() -> Policy {
        Policy { group_limit: Some(2), ..Policy::default() }
    }

    async fn run(&self, crowd: &Crowd, _: &Attempt) -> Result<(), JobError> {
        crowd.work().await;
        Ok(())
    }
}

#[tokio::test]
async fn kinds_that_share_a_group_share_its_room_on_all_workers() {
    let bench = bench().await;
    let crowd = Crowd::default();
    let registry = Registry::new(crowd.clone()).register::<Read>().register::<Write>();
    let jobs: Vec<NewJob> = (0..20)
        .flat_map(|_| [NewJob::new(&Read {}).group_key("host"), NewJob::new(&Write {}).group_key("host")])
        .collect();
    enqueue_many(&mut bench.pool.acquire().await.unwrap(), &jobs).await.unwrap();
    let slots = BTreeMap::from([("read".to_owned(), 4), ("write".to_owned(), 4)]);
    let options = WorkerOptions { slots, ..options(1) };
    let workers = [(); 2]
        .map(|()| tokio::spawn(drain(Queue::new(bench.pool.clone()), registry.clone(), options.clone())));
    for worker in workers {
        tokio::time::timeout(Duration::from_secs(60), worker)
            .await
            .expect("the drain ends")
            .unwrap()
            .unwrap();
    }
    assert_eq!(bench.count("SELECT count(*) FROM queue.jobs WHERE state = 'completed'").await, 40);
    assert_eq!(crowd.change(|(now, most)| (*now, *most)), (0, 2), "now, and the most at a time");
}
