//! A child process: start, signal, wait.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::now_ms;
use crate::error::FaultsError;

/// Poll interval of states.
pub const GLANCE: Duration = Duration::from_millis(20);

/// A kill -9, to measure the rescue from.
#[derive(Debug, Clone)]
pub struct Kill {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Moment, on the machine's monotonic clock.
    pub at_ms: i64,
}

/// A worker or a scheduler. Killed when dropped; it also ends with this process, because it reads a pipe from
/// it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts this program again with `arguments`; its log goes to `directory`.
    pub fn start(directory: &Path, name: &str, arguments: &[String]) -> Result<Self, FaultsError> {
        let program = std::env::current_exe().map_err(FaultsError::io("find this program"))?;
        let path = directory.join(format!("{name}.log"));
        let log = File::create(&path).map_err(FaultsError::file("create", &path))?;
        let child = Command::new(program)
            .args(arguments)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(FaultsError::io("start a process"))?;
        Ok(Self { child, name: name.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The name it was started with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), FaultsError> {
        signal_pid(self.pid(), signal)
    }

    /// SIGKILL; returns when.
    ///
    /// # Errors
    /// If the process is gone.
    pub fn kill(&mut self) -> Result<Kill, FaultsError> {
        self.signal(Signal::KILL)?;
        let kill = Kill { pid: self.pid(), name: self.name.clone(), at_ms: now_ms() };
        self.child.wait().map_err(FaultsError::io("wait for a process"))?;
        Ok(kill)
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it does not come within `limit`.
    pub async fn ended_within(&mut self, limit: Duration) -> Result<ExitStatus, FaultsError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(FaultsError::Late(format!("the end of {}", self.name)));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
///
/// # Errors
/// If it is gone.
pub fn signal_pid(pid: u32, signal: Signal) -> Result<(), FaultsError> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| FaultsError::Setup(format!("{pid} is no process")))?;
    kill_process(pid, signal).map_err(|error| FaultsError::io(format!("signal {pid:?}"))(error.into()))
}
