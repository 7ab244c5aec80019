//! A running server and its orderly stop.

use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::Lock;
use crate::pidfile::{self, PidFile};
use crate::socket;

/// Pause between two checks of a server's state.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Longest orderly stop. After it the stop becomes an immediate one.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A server that accepts connections.
#[derive(Debug)]
pub(crate) struct Running {
    /// Contents of its `postmaster.pid`.
    pub(crate) file: PidFile,
    /// Its data directory.
    pub(crate) data_dir: PathBuf,
    /// Decides whether this process may stop it.
    pub(crate) role: Role,
}

/// Relation of this process to a running server.
#[derive(Debug)]
pub(crate) enum Role {
    /// This process started it: the child is the server.
    Parent { child: Child, _pipe: ChildStdin, _lock: Lock },
    /// Its owner died and this process took over: the child is the guard.
    Adopter { guard: Child, pipe: Option<ChildStdin>, _lock: Lock },
    /// Another process owns it.
    Guest,
}

impl Running {
    pub(crate) fn has_ended(&mut self) -> bool {
        match &mut self.role {
            Role::Parent { child, .. } => child.try_wait().is_ok_and(|status| status.is_some()),
            Role::Adopter { .. } | Role::Guest => !pidfile::is_serving(self.file.pid, &self.data_dir),
        }
    }

    /// Returns false if the server still runs after `timeout`.
    fn wait_for_end(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(POLL_INTERVAL);
        }
        true
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.file.pid).ok().and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::warn!(pid = self.file.pid, %error, "cannot signal PostgreSQL to stop");
        }
    }
}

/// Stops the server in order: it closes connections and writes a checkpoint. The pipe closes last, so the
/// guard stays ready meanwhile. A guest leaves the server alone.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.role, Role::Guest) {
            return;
        }
        if !self.has_ended() {
            self.signal(Signal::INT);
            if !self.wait_for_end(STOP_TIMEOUT) {
                self.signal(Signal::QUIT);
                self.wait_for_end(STOP_TIMEOUT);
            }
        }
        if let Role::Adopter { guard, pipe, .. } = &mut self.role {
            pipe.take();
            // The guard has nothing left to do. An error here means that it is already gone.
            let _ = guard.wait();
        }
        socket::remove_temporary_dir(&self.file.socket_dir);
    }
}
