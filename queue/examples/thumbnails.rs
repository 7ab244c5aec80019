//! Many small jobs and one large one: shrinks 10,000 photographs, then prints them on one sheet.
//!
//! `cargo run -p bedel-queue --example thumbnails` starts a private PostgreSQL, enqueues 10,000 jobs in one
//! statement and runs them. One photograph in a thousand is damaged; one in five hundred fails at the first
//! try. The sheet is a single job that reports its progress. The example fails if the outcome is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bedel_postgres::testing::database;
use bedel_queue::inspect::{self, Filter, JobState};
use bedel_queue::{
    Attempt, Backoff, Commit, Job, JobError, NewJob, Policy, Queue, Registry, WorkerOptions, drain, enqueue,
    enqueue_many, migrate,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

const PHOTOGRAPHS: u32 = 10_000;
/// Pixels along a side.
const LARGE: usize = 32;
const SMALL: usize = 8;
/// Thumbnails along a side of the sheet.
const ROW: u32 = 100;

/// What the jobs use.
#[derive(Debug, Clone)]
struct Studio {
    folder: PathBuf,
}

impl Studio {
    fn thumbnail(&self, photograph: u32) -> PathBuf {
        self.folder.join(format!("{photograph:05}.pgm"))
    }
}

/// Shrinks one photograph. It writes only a file, so the kind is plain.
#[derive(Serialize, Deserialize)]
struct Thumbnail {
    photograph: u32,
}

impl Job for Thumbnail {
    const KIND: &'static str = "thumbnail";
    type Context = Studio;
    type Output = ();

    fn policy() -> Policy {
        let backoff = Backoff { first: Duration::ZERO, max: Duration::ZERO };
        Policy { queue: "pictures", max_attempts: 3, backoff, ..Policy::default() }
    }

    async fn run(&self, studio: &Studio, attempt: &Attempt) -> Result<(), JobError> {
        if self.photograph % 1000 == 999 {
            return Err(JobError::fatal("damaged", "the photograph is damaged"));
        }
        if self.photograph % 500 == 250 && attempt.number == 1 {
            return Err(JobError::retry("busy", "the camera does not answer"));
        }
        let pixels = shrink(&photograph(self.photograph));
        // Another attempt of this job may be writing too, so the temporary name contains the lease.
        let unfinished = studio.folder.join(format!("{}.tmp", attempt.lease));
        let written = async {
            tokio::fs::write(&unfinished, picture(SMALL, SMALL, &pixels)).await?;
            tokio::fs::rename(&unfinished, studio.thumbnail(self.photograph)).await
        };
        written.await.map_err(|error| JobError::retry("disk", error.to_string()))
    }
}

/// Prints all thumbnails on one sheet.
#[derive(Serialize, Deserialize)]
struct Sheet {}

impl Job for Sheet {
    const KIND: &'static str = "sheet";
    type Context = Studio;
    type Output = u32;

    fn policy() -> Policy {
        Policy { queue: "pictures", ..Policy::default() }
    }

    async fn run(&self, studio: &Studio, attempt: &Attempt) -> Result<u32, JobError> {
        let side = ROW as usize * SMALL;
        let (mut sheet, mut printed) = (vec![255; side * side], 0);
        for row in 0..PHOTOGRAPHS / ROW {
            for column in 0..ROW {
                let Some(pixels) = read(&studio.thumbnail(row * ROW + column)).await else { continue };
                for (y, line) in pixels.chunks(SMALL).enumerate() {
                    let start = (row as usize * SMALL + y) * side + column as usize * SMALL;
                    sheet[start..start + SMALL].copy_from_slice(line);
                }
                printed += 1;
            }
            // A slow printer.
            tokio::time::sleep(Duration::from_millis(15)).await;
            attempt.set_progress(f64::from(row + 1) / f64::from(PHOTOGRAPHS / ROW));
        }
        tokio::fs::write(studio.folder.join("sheet.pgm"), picture(side, side, &sheet))
            .await
            .map_err(|error| JobError::retry("disk", error.to_string()))?;
        Ok(printed)
    }

    async fn commit(
        &self,
        _: &Studio,
        _: &Attempt,
        printed: &u32,
        _: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        Ok(Commit::done().with_result(json!({ "printed": printed })))
    }
}

/// A fake camera: grey pixels that differ from one photograph to the next.
fn photograph(number: u32) -> Vec<u8> {
    (0..LARGE * LARGE).map(|at| (at as u32 / 7).wrapping_mul(number + 1).to_le_bytes()[1]).collect()
}

/// The mean of each block of pixels.
fn shrink(large: &[u8]) -> Vec<u8> {
    let block = LARGE / SMALL;
    let mean = |x: usize, y: usize| {
        let pixels = (0..block * block)
            .map(|at| u32::from(large[(y * block + at / block) * LARGE + x * block + at % block]));
        pixels.sum::<u32>() / (block * block) as u32
    };
    (0..SMALL * SMALL).map(|at| mean(at % SMALL, at / SMALL).to_le_bytes()[0]).collect()
}

fn picture(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    [format!("P5 {width} {height} 255\n").as_bytes(), pixels].concat()
}

async fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = tokio::fs::read(path).await.ok()?;
    Some(bytes[bytes.len() - SMALL * SMALL..].to_vec())
}

/// Enqueues photographs in one statement; those already waiting are not enqueued twice.
async fn enqueue_photographs(pool: &PgPool, numbers: std::ops::Range<u32>) -> Result<usize, sqlx::Error> {
    let jobs: Vec<NewJob> = numbers
        .map(|photograph| {
            NewJob::new(&Thumbnail { photograph }).unique_key(format!("thumbnail:{photograph}"))
        })
        .collect();
    let mut tx = pool.begin().await?;
    let enqueued = enqueue_many(&mut tx, &jobs).await?;
    tx.commit().await?;
    Ok(enqueued.iter().filter(|job| job.created).count())
}

/// Runs the example.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = database("thumbnails", async |pool: PgPool| {
        migrate(&pool).await.expect("the queue's tables");
    })
    .await;
    let pool = database.pool;
    let folder = tempfile::tempdir()?;
    let studio = Studio { folder: folder.path().to_owned() };
    let queue = Queue::new(pool.clone());
    let registry = Registry::new(studio.clone()).register::<Thumbnail>().register::<Sheet>();
    let slots = BTreeMap::from([("thumbnail".to_owned(), 64), ("sheet".to_owned(), 1)]);
    let options = WorkerOptions { slots, beat: Duration::from_millis(200), ..WorkerOptions::default() };

    let started = Instant::now();
    let new = enqueue_photographs(&pool, 0..PHOTOGRAPHS).await?;
    println!("{new} jobs enqueued in {:?}", started.elapsed());
    let again = enqueue_photographs(&pool, 0..100).await?;
    println!("{again} of the first 100 enqueued again: their keys are taken");
    let started = Instant::now();
    drain(queue.clone(), registry.clone(), options.clone()).await?;
    println!("worked through in {:?}", started.elapsed());

    let mut connection = pool.acquire().await?;
    let damaged = Filter { state: Some(JobState::Discarded), limit: 100, ..Filter::default() };
    let damaged = inspect::list(&mut connection, &damaged).await?;
    println!("{} discarded, such as {} ({:?})", damaged.len(), damaged[0].args, damaged[0].reason);

    let sheet = enqueue(&mut connection, &NewJob::new(&Sheet {})).await?.id;
    let printing = tokio::spawn(drain(queue, registry, options));
    let mut reports: Vec<f32> = Vec::new();
    while !printing.is_finished() {
        let job = inspect::job(&mut connection, sheet).await?.ok_or("the sheet's job is there")?;
        if let Some(progress) = job.progress.filter(|progress| reports.last() != Some(progress)) {
            println!("the sheet is at {:.0} %", progress * 100.0);
            reports.push(progress);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    printing.await??;
    let result = inspect::job(&mut connection, sheet).await?.and_then(|job| job.result);
    println!("the sheet: {result:?}");

    let whole = (0..PHOTOGRAPHS).filter(|photograph| studio.thumbnail(*photograph).exists()).count();
    if (new, again, damaged.len(), whole) != (10_000, 0, 10, 9_990) {
        return Err(format!("{new} new, {again} again, {} damaged, {whole} whole", damaged.len()).into());
    }
    if !reports.is_sorted() || reports.len() < 2 || result != Some(json!({ "printed": 9_990 })) {
        return Err(format!("the sheet reported {reports:?} and ended with {result:?}").into());
    }
    Ok(())
}
