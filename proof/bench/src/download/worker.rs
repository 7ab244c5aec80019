//! A separate `bedel worker` that only downloads.

use std::path::Path;
use std::time::Duration;

use bedel_jobs::download::Download;
use bedel_jobs::pipeline::{group_by_host, unique_key};
use bedel_queue::{NewJob, Queue, enqueue};
use bedel_test_support::Cluster;
use sqlx::{PgConnection, PgPool};
use tokio::process::Child;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::pair::wrong;
use crate::clock;
use crate::error::{BenchError, Result, io};
use crate::program::{PATIENCE, Program, memory};

/// Downloads that run at a time while memory is measured.
pub(super) const AT_ONCE: usize = 4;

/// Longest wait for downloads.
const LONGEST: Duration = Duration::from_secs(300);

/// Between two looks at what is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A worker process with a private directory and database.
pub(super) struct Worker<'a> {
    child: Child,
    program: Program,
    pool: PgPool,
    cluster: &'a Cluster,
    database: String,
}

impl<'a> Worker<'a> {
    /// Starts it; it may ask this upstream. Returns when it is ready.
    pub(super) async fn start(bedel: &Path, cluster: &'a Cluster, upstream: &str) -> Result<Self> {
        let database = format!("download_{}", clock::now());
        cluster.create(&database).await?;
        let url = cluster.url(&database);
        let program = Program::new(bedel, &url).await?;
        let mut command = program.command(&["worker"]);
        command.env("BEDEL_SLOTS", format!("download={AT_ONCE}"));
        command.env("BEDEL_ALLOWED_PRIVATE_HOSTS", upstream);
        let child = command.spawn().map_err(io("start bedel worker"))?;
        let worker = Self { child, program, pool: PgPool::connect(&url).await?, cluster, database };
        let began = Instant::now();
        while sqlx::query("-- worker::start\nSELECT FROM queue.workers")
            .fetch_optional(&worker.pool)
            .await?
            .is_none()
        {
            if began.elapsed() > PATIENCE {
                return Err(BenchError::Peer("bedel worker does not come up".to_owned()));
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(worker)
    }

    /// Has these streams downloaded, all at once. Returns the seconds from the first claim to the last commit.
    pub(super) async fn bring_in(&self, urls: &[String]) -> Result<f64> {
        let mut tx = self.pool.begin().await?;
        let mut lectures = Vec::new();
        for url in urls {
            lectures.push(submit(&mut tx, url).await?);
        }
        tx.commit().await?;
        Queue::new(self.pool.clone()).wake_now().await?;
        let began = Instant::now();
        loop {
            let (left, failed): (i64, Option<String>) = sqlx::query_as(
                "-- worker::bring_in
                 SELECT count(*) FILTER (WHERE finalized_at IS NULL),
                        (SELECT string_agg(message, ' ') FROM queue.failed_attempts)
                 FROM queue.jobs WHERE kind = 'download' AND subject = ANY($1)",
            )
            .bind(&lectures)
            .fetch_one(&self.pool)
            .await?;
            if let Some(failed) = failed {
                return Err(wrong(format!("a download failed: {failed}")));
            }
            if left == 0 {
                break;
            }
            if began.elapsed() > LONGEST {
                let (what, seconds) = (format!("{} downloads", urls.len()), LONGEST.as_secs());
                return Err(BenchError::Late { contender: "bedel", what, seconds });
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(sqlx::query_scalar(
            "-- worker::bring_in
             SELECT extract(epoch FROM max(finalized_at) - min(attempted_at))::float8
             FROM queue.jobs WHERE kind = 'download' AND subject = ANY($1)",
        )
        .bind(&lectures)
        .fetch_one(&self.pool)
        .await?)
    }

    /// The highest resident memory it had so far, in bytes.
    pub(super) fn peak(&self) -> Result<f64> {
        memory(self.child.id().unwrap_or_default(), "VmHWM:")
    }

    /// Ends it, and removes what it left.
    pub(super) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.map_err(io("stop bedel worker"))?;
        self.pool.close().await;
        drop(self.program);
        Ok(self.cluster.drop(&self.database).await?)
    }
}

/// A lecture whose stream is known, and its download.
async fn submit(tx: &mut PgConnection, url: &str) -> Result<Uuid> {
    let lecture_id = sqlx::query_scalar(
        "-- worker::submit
         INSERT INTO lectures (id, course_id, panopto_url, stream_url)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'https://bench.hosted.panopto.com/', $1) RETURNING id",
    )
    .bind(url)
    .fetch_one(&mut *tx)
    .await?;
    let args = Download { lecture_id, announced_seconds: None };
    let job = NewJob::new(&args).subject(lecture_id).unique_key(unique_key(lecture_id));
    enqueue(tx, &group_by_host(job, url)).await?;
    Ok(lecture_id)
}
