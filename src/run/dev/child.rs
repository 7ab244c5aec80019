//! Supervises one child process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::super::backoff::Backoff;
use super::ready;
use crate::error::{CliError, EXIT_USAGE};

/// A child that lived this long is restarted without delay.
const HEALTHY_AFTER: Duration = Duration::from_secs(20);

/// A program to run.
#[derive(Clone)]
pub struct Program {
    /// For the log.
    pub name: String,
    /// Path of this program.
    pub executable: PathBuf,
    /// The command and its flags.
    pub arguments: Vec<String>,
    /// Variables besides the inherited ones; the last of a name counts.
    pub environment: Vec<(OsString, OsString)>,
    /// Where the API writes its address: a restart gets the same one.
    pub address_file: Option<PathBuf>,
}

/// Restarts `program` whenever it ends, until `stop`. Then SIGTERM, and SIGKILL after `deadline`.
///
/// # Errors
/// If the program reports a configuration error: a restart would not help.
pub async fn supervise(
    program: Program,
    deadline: Duration,
    stop: CancellationToken,
) -> Result<(), CliError> {
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let started = Instant::now();
        match spawn(&program) {
            Ok(mut child) => {
                // Keep it open: `wait` would close it.
                let _pipe = child.stdin.take();
                tracing::info!(pid = child.id(), "{} started", program.name);
                let status = tokio::select! {
                    status = child.wait() => status,
                    () = stop.cancelled() => return terminate(&program, child, deadline).await,
                };
                match status {
                    Ok(status) if status.code() == Some(i32::from(EXIT_USAGE)) => {
                        return Err(CliError::Usage(format!(
                            "{} cannot run; its log lines above say why",
                            program.name
                        )));
                    }
                    Ok(status) => tracing::warn!("{} ended: {}", program.name, describe(status)),
                    Err(error) => tracing::warn!("{} cannot be watched: {error}", program.name),
                }
            }
            Err(error) => tracing::error!("{} cannot be started: {error}", program.name),
        }
        if started.elapsed() >= HEALTHY_AFTER {
            backoff = Backoff::default();
        }
        backoff.pause(&stop).await;
    }
    Ok(())
}

/// The child's standard input is a pipe. It closes when this process ends, even by SIGKILL.
fn spawn(program: &Program) -> std::io::Result<Child> {
    let mut command = Command::new(&program.executable);
    command.args(&program.arguments).envs(program.environment.iter().map(|(name, value)| (name, value)));
    if let Some(address) = program.address_file.as_deref().and_then(ready::address) {
        command.env("BEDEL_LISTEN", address.to_string()).env("BEDEL_ADDRESS_IS_LEARNT", "true");
    }
    // Its own process group: Ctrl-C in the terminal reaches only the supervisor, which stops all in order.
    command.stdin(Stdio::piped()).process_group(0).kill_on_drop(true).spawn()
}

async fn terminate(program: &Program, mut child: Child, deadline: Duration) -> Result<(), CliError> {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::debug!("{} cannot be signalled: {error}", program.name);
    }
    match tokio::time::timeout(deadline, child.wait()).await {
        Ok(Ok(status)) => tracing::info!("{} stopped: {}", program.name, describe(status)),
        Ok(Err(error)) => tracing::warn!("{} cannot be watched: {error}", program.name),
        Err(_) => {
            tracing::warn!("{} did not stop within {} s: killed", program.name, deadline.as_secs());
            if let Err(error) = child.kill().await {
                tracing::warn!("{} cannot be killed: {error}", program.name);
            }
        }
    }
    Ok(())
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "well".to_owned(),
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
