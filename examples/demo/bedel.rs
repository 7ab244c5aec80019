//! `bedel dev` as a child process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};

use crate::error::DemoError;

/// Longest wait until `bedel dev` is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time from SIGTERM to SIGKILL. The child gives its own children less.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Variables of the caller's shell with these prefixes are settings that the demo must not inherit.
const SETTING_PREFIXES: [&str; 4] = ["BEDEL_", "CDCS_", "PG", "COURSE_SYNC"];
/// More such variables, by name.
const SETTING_NAMES: [&str; 5] =
    ["DATABASE_URL", "PANOPTO_TENANTS", "GIVE_UP_AFTER_SECONDS", "KEEP_FAILED_AUDIO_DAYS", "CLEANUP_CRON"];

/// The contents of `dev.json`, which `bedel dev` writes when it is ready.
#[derive(Deserialize)]
pub struct DevInfo {
    /// Base URL of the API.
    pub api_url: String,
    /// Bearer token of a user.
    pub token: String,
    /// The private database.
    pub database_url: String,
}

/// The child process. Stop it with [`Bedel::stop`].
pub struct Bedel {
    child: Child,
    log: PathBuf,
}

impl Bedel {
    /// Starts `bedel dev` with two workers and its data in `directory`. `upstream` is the only private host
    /// that it may contact.
    pub fn start(
        directory: &Path,
        upstream: &str,
        give_up_after: Option<Duration>,
    ) -> Result<Self, DemoError> {
        // Cargo puts examples into a directory beside the programs.
        let program = std::env::current_exe()?
            .parent()
            .and_then(Path::parent)
            .ok_or("the path of this program has no parent directory")?
            .join("bedel");
        let log = directory.join("bedel.log");
        let to_log = File::create(&log)?;
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_setting = SETTING_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
                || SETTING_NAMES.contains(&&*text);
            if is_setting && text != "BEDEL_MODEL_DIR" {
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
            // Stays open while this process lives. `--exit-with-parent` makes the child stop when it closes.
            .stdin(Stdio::piped())
            .stdout(to_log.try_clone()?)
            .stderr(to_log)
            // Ctrl-C in the terminal reaches this process alone, which then stops the child in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { child, log })
    }

    /// Waits until it is ready.
    pub async fn wait_until_ready(&mut self, directory: &Path) -> Result<DevInfo, DemoError> {
        let file = directory.join("data/dev.json");
        let started = std::time::Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("bedel dev ended before it was ready: {status}").into());
            }
            if let Ok(text) = tokio::fs::read(&file).await {
                return Ok(serde_json::from_slice(&text)?);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("bedel dev is not ready after {} s", START_TIMEOUT.as_secs()).into())
    }

    /// Stops it with SIGTERM, and with SIGKILL after a timeout.
    pub async fn stop(mut self) -> Result<(), DemoError> {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => {
                status?;
                Ok(())
            }
            Err(_) => {
                self.child.kill().await?;
                Err(format!("bedel dev did not stop within {} s and was killed", STOP_TIMEOUT.as_secs())
                    .into())
            }
        }
    }

    /// The last 25 lines of its log.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

/// Kills a worker with SIGKILL, like a crash. `name` is `host:pid`.
pub fn kill_worker(name: &str) -> Result<(), DemoError> {
    let pid = name.rsplit(':').next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
    kill_process(
        pid.ok_or_else(|| format!("the worker's name {name:?} does not end with a process id"))?,
        Signal::KILL,
    )?;
    Ok(())
}
