//! The program as a separate process, with a private database and directory.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::process::Command;

use crate::directory::Directory;
use crate::error::{BenchError, Result, io, peer};

/// Longest wait for a process of the program to be ready.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program, with a migrated database. Its directory goes with this.
#[derive(Debug)]
pub struct Program {
    bedel: PathBuf,
    directory: Directory,
    database: String,
}

impl Program {
    /// Makes a directory for the program at `bedel` and migrates the database at the URL.
    pub async fn new(bedel: &Path, database: &str) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = Directory::create(&format!("program-{number}-"))?;
        let program = Self { bedel: bedel.to_owned(), directory, database: database.to_owned() };
        let migrated = program.command(&["migrate"]).output().await.map_err(io("start bedel migrate"))?;
        if !migrated.status.success() {
            return Err(ended_badly("bedel migrate", &migrated));
        }
        Ok(program)
    }

    /// One of its commands, which ends with this process.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.bedel);
        command.args(arguments).current_dir(self.directory.path()).env("DATABASE_URL", &self.database);
        command.env("BEDEL_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// What a program of ours or of others said that ended badly.
pub fn ended_badly(program: &str, output: &Output) -> BenchError {
    let said = String::from_utf8_lossy(&output.stderr);
    BenchError::Peer(format!("{program} ended with {}: {}", output.status, said.trim()))
}

/// Sets a process's highest resident memory to what it is now (proc(5)).
pub fn reset_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").map_err(io("reset the memory's peak"))
}

/// One of a process's figures in bytes, such as `VmHWM:`, its highest resident memory.
pub fn memory(pid: u32, key: &str) -> Result<f64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(io("read a process's memory"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let kilobytes: f64 = value.trim().trim_end_matches("kB").trim().parse().map_err(peer)?;
    Ok(kilobytes * 1024.0)
}

/// Seconds of processor time that a process took so far, and children of its that have ended (proc(5)).
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(io("read a process's time"))?;
    // Behind the name, which may hold anything, the third field follows; times are the 14th to the 17th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields.get(11..15).ok_or_else(|| peer("a process without times"))?;
    let ticks: u64 = ticks.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
