//! Kinds with a breaker, and the hosts they call: the test says how each answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bedel_queue::{
    Attempt, Backoff, Breaker, BreakerView, Commit, End, Job, JobError, NewJob, Policy, Registry,
    WorkerOptions, breakers,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use crate::support::{Bench, options};

/// How a host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Well,
    /// Not at all; the attempt ends once the host is up or down.
    Silent,
    /// Down, as the caller finds after so many milliseconds.
    Down(u64),
    /// It has no such page: the error is fatal and says that the host is there.
    Gone,
    /// It is still at work on it: the error waits and says that the host is there.
    Later,
    /// Something that tells nothing of the host.
    Odd,
    /// Down, and the error names the time to wait.
    Unavailable,
}

#[derive(Debug, Clone, Copy)]
struct Host {
    answer: Answer,
    asked: u32,
    now: u32,
    most: u32,
}

/// The hosts by name; those the test says nothing of answer well.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Arc<Mutex<BTreeMap<String, Host>>>);

impl Hosts {
    fn host<T>(&self, name: &str, change: impl FnOnce(&mut Host) -> T) -> T {
        let mut hosts: MutexGuard<'_, _> = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(hosts.entry(name.to_owned()).or_insert(Host {
            answer: Answer::Well,
            asked: 0,
            now: 0,
            most: 0,
        }))
    }

    pub fn answer(&self, name: &str, answer: Answer) {
        self.host(name, |host| host.answer = answer);
    }

    /// How often it was asked.
    pub fn asked(&self, name: &str) -> u32 {
        self.host(name, |host| host.asked)
    }

    /// The most callers at a time since the last call of this.
    pub fn most(&self, name: &str) -> u32 {
        self.host(name, |host| std::mem::replace(&mut host.most, host.now))
    }

    async fn call(&self, name: &str) -> Result<(), JobError> {
        self.host(name, |host| {
            host.asked += 1;
            host.now += 1;
            host.most = host.most.max(host.now);
        });
        let answer = loop {
            match self.host(name, |host| host.answer) {
                Answer::Silent => tokio::time::sleep(Duration::from_millis(10)).await,
                answer => break answer,
            }
        };
        if let Answer::Down(milliseconds) = answer {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        self.host(name, |host| host.now -= 1);
        match answer {
            Answer::Well | Answer::Silent => Ok(()),
            Answer::Down(_) => Err(JobError::retry("network", "nobody answers").blames_group()),
            Answer::Gone => Err(JobError::fatal("gone", "no such page").clears_group()),
            Answer::Later => {
                Err(JobError::wait("encoding", "not yet", Duration::from_secs(60)).clears_group())
            }
            Answer::Odd => Err(JobError::retry("odd", "who knows")),
            Answer::Unavailable => {
                Err(JobError::retry_after("busy", "in a minute", Duration::from_secs(60)).blames_group())
            }
        }
    }
}

fn policy() -> Policy {
    Policy {
        backoff: Backoff { first: Duration::from_millis(50), max: Duration::from_millis(50) },
        breaker: Some(Breaker {
            failures: 3,
            pause: Backoff { first: Duration::from_millis(100), max: Duration::from_millis(400) },
        }),
        ..Policy::default()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    host: String,
}

impl Job for Call {
    const KIND: &'static str = "call";
    type Context = Hosts;
    type Output = ();

    fn policy() -> Policy {
        policy()
    }

    async fn run(&self, hosts: &Hosts, _: &Attempt) -> Result<(), JobError> {
        hosts.call(&self.host).await
    }

    async fn commit(
        &self,
        _: &Hosts,
        _: &Attempt,
        (): &(),
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done())
    }

    async fn ended(_: &Hosts, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        sqlx::query("INSERT INTO effects (what) VALUES ($1)")
            .bind(format!("ended:{}", end.class))
            .execute(tx)
            .await?;
        Ok(Vec::new())
    }
}

/// The same without hooks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ping {
    host: String,
}

impl Job for Ping {
    const KIND: &'static str = "ping";
    type Context = Hosts;
    type Output = ();

    fn policy() -> Policy {
        policy()
    }

    async fn run(&self, hosts: &Hosts, _: &Attempt) -> Result<(), JobError> {
        hosts.call(&self.host).await
    }
}

pub fn call(host: &str) -> NewJob {
    NewJob::new(&Call { host: host.to_owned() }).group_key(host)
}

pub fn ping(host: &str) -> NewJob {
    NewJob::new(&Ping { host: host.to_owned() }).group_key(host)
}

/// A call that belongs to no group.
pub fn ungrouped(host: &str) -> NewJob {
    NewJob::new(&Call { host: host.to_owned() })
}

pub fn callers(hosts: &Hosts) -> Registry<Hosts> {
    Registry::new(hosts.clone()).register::<Call>().register::<Ping>()
}

pub fn caller_options(slots: usize) -> WorkerOptions {
    let slots = BTreeMap::from([("call".to_owned(), slots), ("ping".to_owned(), slots)]);
    WorkerOptions { slots, ..options(0) }
}

/// As [`caller_options`], for workers of which none is to be taken for dead on a busy machine: the next probe would go while
/// the last one still asks.
pub fn long_lived(slots: usize) -> WorkerOptions {
    WorkerOptions { dead_after: Duration::from_secs(60), ..caller_options(slots) }
}

/// Opens the breaker of a group; the next probe is due in so many seconds.
pub async fn open(pool: &PgPool, group: &str, probe_in: f64) {
    sqlx::query(
        "INSERT INTO queue.breakers (group_key, failures, failed_at, opened_at, probe_at, class, message)
         VALUES ($1, 3, now(), now(), now() + make_interval(secs => $2), 'network', 'nobody answers')",
    )
    .bind(group)
    .bind(probe_in)
    .execute(pool)
    .await
    .unwrap();
}

/// The breaker of a group.
pub async fn breaker(bench: &Bench, group: &str) -> Option<BreakerView> {
    let mut connection = bench.pool.acquire().await.unwrap();
    breakers(&mut connection).await.unwrap().into_iter().find(|view| view.group_key == group)
}
