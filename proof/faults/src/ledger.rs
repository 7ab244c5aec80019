//! The ledger: every side effect of a test job, written where no rollback reaches it.
//!
//! One append-only file per process. Each entry is one line, written by one call, so it is whole or absent
//! even after kill -9.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use bedel_queue::Attempt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::now_ms;
use crate::error::FaultsError;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The begin hook ran; its transaction may still be rolled back.
    BeginHook,
    /// The handler was entered.
    Start,
    /// A file was renamed to its final name.
    Promoted,
    /// The handler returned.
    End,
    /// The commit hook ran; its transaction may still be rolled back.
    CommitHook,
}

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Milliseconds on the machine's monotonic clock.
    pub at_ms: i64,
    /// The process.
    pub pid: u32,
    /// The job.
    pub job: Uuid,
    /// The lease of the attempt.
    pub lease: Uuid,
    /// The number of the attempt.
    pub attempt: i32,
    /// What happened.
    pub what: What,
}

/// The ledger of this process.
#[derive(Debug)]
pub struct Ledger {
    file: File,
}

const PREFIX: &str = "ledger-";

impl Ledger {
    /// Opens this process's file in `directory`.
    pub fn open(directory: &Path) -> Result<Self, FaultsError> {
        let path = directory.join(format!("{PREFIX}{}", std::process::id()));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(FaultsError::file("open", &path))?;
        Ok(Self { file })
    }

    /// Writes one line.
    ///
    /// # Panics
    /// If the disk refuses: a round without its ledger proves nothing.
    pub fn note(&self, attempt: &Attempt, what: What) {
        let entry = Entry {
            at_ms: now_ms(),
            pid: std::process::id(),
            job: attempt.job_id,
            lease: attempt.lease,
            attempt: attempt.number,
            what,
        };
        let mut line = serde_json::to_vec(&entry).expect("plain data");
        line.push(b'\n');
        (&self.file).write_all(&line).expect("the ledger can be written");
    }
}

/// All entries of a round, by time.
pub fn read(directory: &Path) -> Result<Vec<Entry>, FaultsError> {
    let mut entries = Vec::new();
    for file in fs::read_dir(directory).map_err(FaultsError::file("read", directory))? {
        let path = file.map_err(FaultsError::file("read", directory))?.path();
        if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)) {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(FaultsError::file("read", &path))?;
        // A line without its newline is being written, or its process was killed.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let entry: Entry = serde_json::from_str(line)
                .map_err(|error| FaultsError::Setup(format!("{}: {error}: {line}", path.display())))?;
            entries.push(entry);
        }
    }
    entries.sort_by_key(|entry| entry.at_ms);
    Ok(entries)
}
