//! Jobs whose args say what they do. Every side effect goes into the ledger.

mod wrapped;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bedel_queue::{Attempt, Backoff, Commit, End, Failure, Job, JobError, NewJob, Policy, Registry};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::ledger::{Ledger, What};

pub use wrapped::{Errand, Hasty};

/// What the handler does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Act {
    /// Takes this many milliseconds.
    Sleep(u64),
    /// Writes a file named after its lease, checks the lease, and renames the file. Milliseconds before the
    /// check, and between check and rename.
    Promote(u64, u64),
    /// Saves a checkpoint after each step: number of steps, milliseconds of each.
    March(u32, u64),
    /// Aborts its process after this many milliseconds.
    Poison(u64),
    /// Panics in its first attempt.
    Panic,
    /// The commit hook panics in the first attempt.
    PanicInCommit,
    /// Fails in this many first attempts.
    Fail(i32),
    /// Fails fatally.
    Refuse,
    /// Never ends.
    Hang,
    /// Blocks a thread for this many milliseconds and ignores cancellation. Later attempts return at once.
    Deaf(u64),
    /// Holds a connection of the worker's pool for this many milliseconds.
    HoldConnection(u64),
}

/// The jobs' context.
#[derive(Debug, Clone)]
pub struct Touch {
    /// The database, the same pool that the queue uses.
    pub pool: PgPool,
    /// If files go.
    pub directory: Arc<Path>,
    /// Log of side effects.
    pub ledger: Arc<Ledger>,
}

impl Touch {
    fn temporary(&self, attempt: &Attempt) -> PathBuf {
        self.directory.join("temporary").join(format!("{}.{}", attempt.job_id, attempt.lease))
    }

    /// Removes files of the job's older leases, so a late rename finds no source.
    async fn remove_leftovers(&self, attempt: &Attempt) -> Result<(), JobError> {
        let prefix = format!("{}.", attempt.job_id);
        let mut found = Vec::new();
        for file in std::fs::read_dir(self.directory.join("temporary")).map_err(disk)? {
            let file = file.map_err(disk)?;
            if file.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(file.path());
            }
        }
        attempt.check_lease().await?;
        for path in found {
            let _ = std::fs::remove_file(path); // another attempt may have been quicker
        }
        Ok(())
    }

    async fn promote(&self, attempt: &Attempt, before: u64, between: u64) -> Result<(), JobError> {
        self.remove_leftovers(attempt).await?;
        let temporary = self.temporary(attempt);
        std::fs::write(&temporary, attempt.lease.to_string()).map_err(disk)?;
        tokio::time::sleep(Duration::from_millis(before)).await;
        attempt.check_lease().await?;
        tokio::time::sleep(Duration::from_millis(between)).await;
        std::fs::rename(&temporary, final_file(&self.directory, attempt.job_id)).map_err(disk)?;
        self.ledger.note(attempt, What::Promoted);
        Ok(())
    }
}

/// The final name of a job's file; it holds the lease that wrote it.
pub fn final_file(directory: &Path, job: Uuid) -> PathBuf {
    directory.join("final").join(job.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn disk(error: std::io::Error) -> JobError {
    JobError::retry("disk", error.to_string())
}

/// One step of a chain of jobs about one item. Its hooks write the item's row, as a lecture's stages write the lecture's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Visit {
    /// The item.
    pub item: Uuid,
    /// From 1.
    pub step: u32,
    /// The last one.
    pub steps: u32,
    /// What each step does.
    pub act: Act,
}

impl Visit {
    /// The job. Its unique key allows one live job per item.
    pub fn job(&self) -> NewJob {
        NewJob::new(self).subject(self.item).unique_key(format!("item:{}", self.item))
    }

    async fn act(&self, touch: &Touch, attempt: &Attempt) -> Result<(), JobError> {
        match self.act {
            Act::Sleep(ms) => {
                attempt.set_progress(0.5);
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Act::Promote(before, between) => touch.promote(attempt, before, between).await?,
            Act::March(steps, ms) => {
                for step in attempt.checkpoint::<u32>().unwrap_or(0)..steps {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    attempt.save_checkpoint(&(step + 1)).await?;
                }
            }
            Act::Poison(ms) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                std::process::abort();
            }
            Act::Panic => assert!(attempt.number > 1, "a handler's bug"),
            Act::Fail(times) if attempt.number <= times => {
                return Err(JobError::retry("planned", "this attempt was to fail"));
            }
            Act::Refuse => return Err(JobError::fatal("refused", "this job was to be discarded")),
            Act::PanicInCommit | Act::Fail(_) => {}
            Act::Hang => std::future::pending().await,
            Act::Deaf(ms) if attempt.number == 1 => {
                let deaf = move || std::thread::sleep(Duration::from_millis(ms));
                tokio::task::spawn_blocking(deaf)
                    .await
                    .map_err(|_| JobError::retry("deaf", "it was woken"))?;
            }
            Act::Deaf(_) => {}
            Act::HoldConnection(ms) => {
                let mut connection = touch.pool.acquire().await?;
                sqlx::query("-- faults::hold\nSELECT pg_sleep($1 / 1000.0)")
                    .bind(ms as f64)
                    .execute(&mut *connection)
                    .await?;
            }
        }
        Ok(())
    }
}

impl Job for Visit {
    const KIND: &'static str = "visit";
    type Context = Touch;
    type Output = ();

    fn policy() -> Policy {
        Policy {
            backoff: Backoff { first: Duration::from_millis(50), max: Duration::from_millis(200) },
            timeout: Duration::from_secs(120),
            ..Policy::default()
        }
    }

    async fn begin(&self, touch: &Touch, attempt: &Attempt, tx: &mut PgConnection) -> Result<(), JobError> {
        sqlx::query(
            "-- faults::begin\nUPDATE faults.items SET status = 'at work', begins = begins + 1 WHERE id = $1",
        )
        .bind(self.item)
        .execute(tx)
        .await?;
        touch.ledger.note(attempt, What::BeginHook);
        Ok(())
    }

    async fn run(&self, touch: &Touch, attempt: &Attempt) -> Result<(), JobError> {
        touch.ledger.note(attempt, What::Start);
        self.act(touch, attempt).await?;
        touch.ledger.note(attempt, What::End);
        Ok(())
    }

    async fn commit(
        &self,
        touch: &Touch,
        attempt: &Attempt,
        (): &(),
        tx: &mut PgConnection,
    ) -> Result<Commit, JobError> {
        sqlx::query(
            "-- faults::commit
             UPDATE faults.items SET status = 'visited', visits = visits + 1 WHERE id = $1",
        )
        .bind(self.item)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "-- faults::record_commit
             INSERT INTO faults.commits (job_id, lease, item, step) VALUES ($1, $2, $3, $4)",
        )
        .bind(attempt.job_id)
        .bind(attempt.lease)
        .bind(self.item)
        .bind(self.step.cast_signed())
        .execute(&mut *tx)
        .await?;
        touch.ledger.note(attempt, What::CommitHook);
        if matches!(self.act, Act::PanicInCommit) {
            assert!(attempt.number > 1, "a hook's bug");
        }
        Ok(if self.step < self.steps {
            Commit::done().then(Self { step: self.step + 1, ..self.clone() }.job())
        } else {
            Commit::done()
        })
    }

    async fn attempt_failed(_: &Touch, failure: &Failure, tx: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("-- faults::attempt_failed\nUPDATE faults.items SET status = 'failing' WHERE id = $1")
            .bind(failure.subject)
            .execute(tx)
            .await?;
        Ok(())
    }

    async fn ended(_: &Touch, end: &End, tx: &mut PgConnection) -> Result<Vec<NewJob>, sqlx::Error> {
        sqlx::query(
            "-- faults::ended
             UPDATE faults.items SET status = 'ended', ends = ends + 1 WHERE id = $1",
        )
        .bind(end.subject)
        .execute(tx)
        .await?;
        Ok(Vec::new())
    }
}

/// The kinds of the suite.
pub fn registry(touch: Touch) -> Registry<Touch> {
    Registry::new(touch).register::<Visit>().register::<Hasty>().register::<Errand>()
}

/// The jobs' own tables.
pub const SCHEMA: &str = "
CREATE SCHEMA faults;
CREATE TABLE faults.items (
    id     uuid PRIMARY KEY,
    status text NOT NULL DEFAULT 'new',
    begins integer NOT NULL DEFAULT 0,
    visits integer NOT NULL DEFAULT 0,
    ends   integer NOT NULL DEFAULT 0
);
-- No key: what happened twice is to be seen twice.
CREATE TABLE faults.commits (job_id uuid NOT NULL, lease uuid NOT NULL, item uuid NOT NULL, step integer NOT NULL);
";
