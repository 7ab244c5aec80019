//! Polite and patient: two workers read three web servers on this machine.
//!
//! `cargo run -p bedel-queue --example crawler` starts a private PostgreSQL and the servers. However many workers there are,
//! no server is asked by more than two at a time (`group_limit`). One server asks for patience, and is given it
//! (`retry_after`); one drops the connection in the middle of a large file, which goes on from where it was (checkpoint);
//! one page never comes, and its job is cancelled. It ends with an error where the outcome is not the one that the
//! queue promises.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bedel_postgres::testing::database;
use bedel_queue::inspect::{self, Filter, JobState};
use bedel_queue::{
    Attempt, Backoff, Commit, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, enqueue,
    run_worker,
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

mod site;

use site::{DROPPED, PAGES, Site};

const PARTS: u32 = 6;

type Parts = Arc<Mutex<BTreeMap<u32, String>>>;

/// Reads one page and enqueues those it links to.
#[derive(Serialize, Deserialize)]
struct Visit {
    host: String,
    page: String,
}

impl Visit {
    fn job(host: &str, page: &str) -> NewJob {
        let visit = Self { host: host.to_owned(), page: page.to_owned() };
        NewJob::new(&visit).group_key(host).unique_key(format!("{host}/{page}"))
    }
}

impl Job for Visit {
    const KIND: &'static str = "visit";
    type Context = Parts;
    type Output = String;

    fn policy() -> Policy {
        Policy { queue: "web", group_limit: Some(2), max_attempts: 3, ..Policy::default() }
    }

    async fn run(&self, _: &Parts, _: &Attempt) -> Result<String, JobError> {
        get(&self.host, &self.page).await
    }

    async fn commit(
        &self,
        _: &Parts,
        _: &Attempt,
        links: &String,
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        // A page may be read twice; it is one row all the same.
        sqlx::query("INSERT INTO pages (host, page) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(&self.host)
            .bind(&self.page)
            .execute(&mut *tx)
            .await?;
        let links: Vec<String> = links.split_whitespace().map(str::to_owned).collect();
        let unread: Vec<String> = sqlx::query_scalar(
            "SELECT link FROM unnest($2::text[]) AS link
              WHERE NOT EXISTS (SELECT FROM pages WHERE host = $1 AND page = link)",
        )
        .bind(&self.host)
        .bind(links)
        .fetch_all(tx)
        .await?;
        Ok(unread.iter().fold(Commit::done(), |commit, page| commit.then(Self::job(&self.host, page))))
    }
}

/// Fetches a large file in parts and remembers which it has.
#[derive(Serialize, Deserialize)]
struct Fetch {
    host: String,
}

impl Job for Fetch {
    const KIND: &'static str = "fetch";
    type Context = Parts;
    type Output = ();

    fn policy() -> Policy {
        let backoff = Backoff { first: Duration::from_millis(200), max: Duration::from_secs(1) };
        Policy { queue: "web", group_limit: Some(2), backoff, ..Policy::default() }
    }

    async fn run(&self, parts: &Parts, attempt: &Attempt) -> Result<(), JobError> {
        let first: u32 = attempt.checkpoint().unwrap_or(0);
        println!("attempt {} of the file begins at part {first}", attempt.number);
        for part in first..PARTS {
            let text = get(&self.host, &format!("part-{part}")).await?;
            parts.lock().expect("nobody panics with it").insert(part, text);
            attempt.save_checkpoint(&(part + 1)).await?;
            attempt.set_progress(f64::from(part + 1) / f64::from(PARTS));
        }
        Ok(())
    }

    async fn commit(
        &self,
        _: &Parts,
        _: &Attempt,
        (): &(),
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done())
    }
}

/// Asks a server. What went wrong says by itself what follows from it.
async fn get(host: &str, page: &str) -> Result<String, JobError> {
    let answer = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(format!("GET /{page} HTTP/1.0\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer.await.map_err(|error| JobError::retry("network", error.to_string()))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| JobError::retry("truncated", "the connection was dropped"))?;
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some("503") => {
            let seconds = head.split("Retry-After: ").nth(1).and_then(|text| text.trim().parse().ok());
            let delay = Duration::from_secs(seconds.unwrap_or(60));
            Err(JobError::retry_after("busy", "the server asks for patience", delay))
        }
        status => Err(JobError::fatal("refused", format!("the server answered {status:?}"))),
    }
}

/// Looks until it is so: an example must not wait for ever.
async fn soon<F>(what: &str, is_so: impl Fn() -> F) -> Result<(), Box<dyn std::error::Error>>
where
    F: Future<Output = Result<bool, sqlx::Error>>,
{
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await? {
        if Instant::now() > deadline {
            return Err(format!("it never came to this: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database("crawler", async |pool: PgPool| {
        bedel_queue::migrate(&pool).await.expect("the queue's tables");
        let ddl = "CREATE TABLE pages (host text, page text, PRIMARY KEY (host, page))";
        sqlx::raw_sql(ddl).execute(&pool).await.expect("the crawler's table");
    })
    .await;
    let pool = database.pool;
    let queue = Queue::new(pool.clone());
    let parts = Parts::default();
    let registry = Registry::new(Arc::clone(&parts)).register::<Visit>().register::<Fetch>();
    let mut sites = Vec::new();
    for _ in 0..3 {
        sites.push(Site::start().await?);
    }

    let mut tx = pool.begin().await?;
    for (_, host) in &sites {
        enqueue(&mut tx, &Visit::job(host, "0")).await?;
    }
    let endless = enqueue(&mut tx, &Visit::job(&sites[1].1, "endless").priority(1)).await?.id;
    let fetch = Fetch { host: sites[2].1.clone() };
    let file = enqueue(&mut tx, &NewJob::new(&fetch).group_key(&fetch.host)).await?.id;
    tx.commit().await?;
    queue.wake();

    let stop = CancellationToken::new();
    let workers = ["one", "two"].map(|name| {
        let slots = BTreeMap::from([("visit".to_owned(), 8), ("fetch".to_owned(), 1)]);
        let options = WorkerOptions { name: name.to_owned(), slots, ..WorkerOptions::default() };
        tokio::spawn(run_worker(queue.clone(), registry.clone(), options, stop.clone()))
    });

    let mut connection = pool.acquire().await?;
    soon("somebody waits for the endless page", async || Ok(sites[1].0.seen().waiting == 1)).await?;
    let asked = Instant::now();
    let mut tx = pool.begin().await?;
    registry.cancel(&mut tx, endless, "it has no end").await?;
    tx.commit().await?;
    queue.announce_cancellation();
    soon("nobody waits for it any more", async || Ok(sites[1].0.seen().waiting == 0)).await?;
    let let_go = asked.elapsed();
    println!("the endless page was let go {let_go:?} after the cancel");

    soon("all pages are read", async || {
        let read: i64 = sqlx::query_scalar("SELECT count(*) FROM pages").fetch_one(&pool).await?;
        Ok(read == 3 * i64::from(PAGES))
    })
    .await?;
    soon("the file is whole", async || {
        let job = inspect::job(&mut *pool.acquire().await?, file).await?;
        Ok(job.is_some_and(|job| job.state == JobState::Completed))
    })
    .await?;
    stop.cancel();
    for worker in workers {
        worker.await??;
    }

    let file = inspect::job(&mut connection, file).await?.ok_or("the file's job is there")?;
    println!(
        "the file: {} attempts, {} of {} parts",
        file.attempt,
        parts.lock().expect("nobody panics with it").len(),
        PARTS
    );
    for (site, host) in &sites {
        let seen = site.seen();
        println!(
            "{host} was asked {} times, by {} at once",
            seen.served.values().sum::<u32>(),
            seen.most_at_once
        );
        if seen.most_at_once != 2 {
            return Err(format!("{host} was asked by {} at once", seen.most_at_once).into());
        }
    }
    let asked_for: Vec<u32> =
        (0..PARTS).map(|part| sites[2].0.seen().served[&format!("part-{part}")]).collect();
    let expected: Vec<u32> = (0..PARTS).map(|part| 1 + u32::from(part == DROPPED)).collect();
    if asked_for != expected || file.failures.len() != 1 {
        return Err(format!("the parts were asked for {asked_for:?} times: {:?}", file.failures).into());
    }
    let endless = inspect::job(&mut connection, endless).await?.ok_or("the endless page's job is there")?;
    if endless.state != JobState::Cancelled || let_go > Duration::from_secs(1) {
        return Err(format!("the endless page is {}, let go after {let_go:?}", endless.state).into());
    }
    let visits = Filter { kind: Some("visit".to_owned()), limit: 500, ..Filter::default() };
    let visits = inspect::list(&mut connection, &visits).await?;
    let patient = visits.iter().filter(|job| job.errors == 1 && job.attempt == 2).count();
    if patient != 3 {
        return Err(format!("{patient} of 3 servers got the patience they asked for").into());
    }
    Ok(())
}
