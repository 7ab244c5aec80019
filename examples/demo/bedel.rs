//! `bedel dev` as a child process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};

use crate::Trouble;

/// Until everything answers.
const START: Duration = Duration::from_secs(60);
/// From SIGTERM to SIGKILL. Its own children have a shorter one.
const STOP: Duration = Duration::from_secs(15);
/// Settings that would come from this shell and are not the demonstration's.
const FOREIGN: [&str; 4] = ["BEDEL_", "CDCS_", "PG", "COURSE_SYNC"];
const FOREIGN_NAMES: [&str; 5] =
    ["DATABASE_URL", "PANOPTO_TENANTS", "GIVE_UP_AFTER_SECONDS", "KEEP_FAILED_AUDIO_DAYS", "CLEANUP_CRON"];

/// How to reach it, as it says in its `dev.json`.
#[derive(Deserialize)]
pub struct Reach {
    /// Base URL of the API.
    pub api_url: String,
    /// Bearer token of a user.
    pub token: String,
    /// The private database.
    pub database_url: String,
}

/// The running child. Stop it with [`Bedel::stop`].
pub struct Bedel {
    child: Child,
    log: PathBuf,
}

impl Bedel {
    /// Starts `bedel dev` with two workers and its data in `directory`. `upstream` is the only private host it may reach.
    pub fn start(directory: &Path, upstream: &str, give_up_after: Option<Duration>) -> Result<Self, Trouble> {
        // cargo puts examples into a directory beside the programs.
        let program = std::env::current_exe()?
            .parent()
            .and_then(Path::parent)
            .ok_or("this program has no place of its own")?
            .join("bedel");
        let log = directory.join("bedel.log");
        let to_log = File::create(&log)?;
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let foreign =
                FOREIGN.iter().any(|prefix| text.starts_with(prefix)) || FOREIGN_NAMES.contains(&&*text);
            if foreign && text != "BEDEL_MODEL_DIR" {
                command.env_remove(&name);
            }
        }
        if let Some(limit) = give_up_after {
            command.env("GIVE_UP_AFTER_SECONDS", limit.as_secs().to_string());
        }
        let child = command
            .args(["dev", "--exit-with-parent", "--workers", "2", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(directory.join("data"))
            .env("PANOPTO_TENANTS", upstream)
            .env("BEDEL_ALLOWED_PRIVATE_HOSTS", upstream)
            // Away from any .env file.
            .current_dir(directory)
            // Held open by us: it stops by itself should we die.
            .stdin(Stdio::piped())
            .stdout(to_log.try_clone()?)
            .stderr(to_log)
            // Ctrl-C in the terminal reaches this program alone, which stops the other in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { child, log })
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self, directory: &Path) -> Result<Reach, Trouble> {
        let file = directory.join("data/dev.json");
        let started = std::time::Instant::now();
        while started.elapsed() < START {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("bedel dev ended before it was ready: {status}").into());
            }
            if let Ok(text) = tokio::fs::read(&file).await {
                return Ok(serde_json::from_slice(&text)?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("bedel dev is not ready after {} s", START.as_secs()).into())
    }

    /// Ends it: SIGTERM, and SIGKILL where that does not help in time.
    pub async fn stop(mut self) -> Result<(), Trouble> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        match tokio::time::timeout(STOP, self.child.wait()).await {
            Ok(status) => {
                status?;
                Ok(())
            }
            Err(_) => {
                self.child.kill().await?;
                Err(format!("bedel dev did not stop within {} s and was killed", STOP.as_secs()).into())
            }
        }
    }

    /// The last lines it wrote.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

/// Ends a worker as a crash would: SIGKILL. `name` is `host:pid`.
pub fn kill_worker(name: &str) -> Result<(), Trouble> {
    let pid = name.rsplit(':').next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    kill_process(
        pid.ok_or_else(|| format!("the worker's name {name:?} ends with no process id"))?,
        Signal::KILL,
    )?;
    Ok(())
}
