//! A server that is up, and its orderly end.

use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::Lock;
use crate::launch::GLANCE;
use crate::pidfile::{self, PidFile};
use crate::socket;

/// How long an orderly stop may take before it becomes an immediate one.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// A server that is ready, and our part in it.
#[derive(Debug)]
pub(crate) struct Running {
    /// What its `postmaster.pid` says.
    pub(crate) file: PidFile,
    /// Whose server it is.
    pub(crate) data_dir: PathBuf,
    /// What we may do with it.
    pub(crate) hold: Hold,
}

/// Our part in a running server.
#[derive(Debug)]
pub(crate) enum Hold {
    /// We started it: the child is the server.
    Parent { child: Child, _pipe: ChildStdin, _lock: Lock },
    /// Its owner died and we took over: the child is the guard.
    Adopter { guard: Child, pipe: Option<ChildStdin>, _lock: Lock },
    /// Another owner runs it.
    Guest,
}

impl Running {
    /// Whether the server is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        match &mut self.hold {
            Hold::Parent { child, .. } => child.try_wait().is_ok_and(|status| status.is_some()),
            Hold::Adopter { .. } | Hold::Guest => !pidfile::serves(self.file.pid, &self.data_dir),
        }
    }

    fn ended_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return false;
            }
            sleep(GLANCE);
        }
        true
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.file.pid).ok().and_then(Pid::from_raw)
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::warn!(pid = self.file.pid, %error, "PostgreSQL could not be told to stop");
        }
    }
}

/// Stops the server, in order: connections are closed, a checkpoint is written. The pipe closes last, so that the guard stands
/// by while we wait. A guest leaves the server alone.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.hold, Hold::Guest) {
            return;
        }
        if !self.has_ended() {
            self.signal(Signal::INT);
            if !self.ended_within(STOPPED_WITHIN) {
                self.signal(Signal::QUIT);
                self.ended_within(STOPPED_WITHIN);
            }
        }
        if let Hold::Adopter { guard, pipe, .. } = &mut self.hold {
            pipe.take();
            // It has nothing left to do; an error here would mean that it is gone already.
            let _ = guard.wait();
        }
        socket::leave(&self.file.socket_dir);
    }
}
