//! From a data directory to a running server: lock, make the cluster, adopt or start, wait until it is ready.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::error::PostgresError;
use crate::guard::{self, Orders};
use crate::pidfile::{self, PidFile, Status};
use crate::running::{Hold, Running};
use crate::server::{Durability, StopMode};
use crate::socket;

/// The usual [`Launch::patience`].
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long we try again while processes of a killed server still end.
const REMAINS_WITHIN: Duration = Duration::from_secs(10);
/// How often a state is looked at.
pub(crate) const GLANCE: Duration = Duration::from_millis(10);

/// Everything that decides how a server is run.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Where its data is.
    pub(crate) cluster: Cluster,
    /// Where its programs are.
    pub(crate) binaries: PathBuf,
    /// Whether it syncs.
    pub(crate) durability: Durability,
    /// How the guard stops it.
    pub(crate) stop_mode: StopMode,
    /// A directory of ours in the temporary directory that goes with it.
    pub(crate) remove: Option<PathBuf>,
    /// How long another process, or the server, may take to become ready (recovery after a crash included).
    pub(crate) patience: Duration,
}

enum Outcome {
    Ready(Child, ChildStdin, PidFile),
    Exited(ExitStatus),
}

impl Launch {
    /// Returns when the server accepts connections. Blocks the thread.
    pub(crate) fn run(&self) -> Result<Running, PostgresError> {
        let deadline = Instant::now() + self.patience;
        let lock = loop {
            if let Some(lock) = self.cluster.try_lock()? {
                break lock;
            }
            if let Some(file) = PidFile::read(self.data_dir()).filter(PidFile::is_reachable) {
                return Ok(self.running(file, Hold::Guest));
            }
            if Instant::now() > deadline {
                return Err(PostgresError::Held {
                    dir: self.data_dir().to_owned(),
                    holder: self.cluster.holder(),
                });
            }
            sleep(GLANCE);
        };
        self.cluster.prepare(&self.binaries, self.durability == Durability::Full)?;
        let remains_until = Instant::now() + REMAINS_WITHIN;
        loop {
            if let Some(file) = self.orphan()? {
                tracing::info!(pid = file.pid, "a PostgreSQL server whose owner died is taken over");
                let (guard, pipe) = guard::adopt(self.orders(), file.pid)?;
                return Ok(self.running(file, Hold::Adopter { guard, pipe: Some(pipe), _lock: lock }));
            }
            match self.start()? {
                Outcome::Ready(child, pipe, file) => {
                    return Ok(self.running(file, Hold::Parent { child, _pipe: pipe, _lock: lock }));
                }
                Outcome::Exited(status) => {
                    let tail = self.log_tail();
                    if !says_remains(&tail) || Instant::now() > remains_until {
                        return Err(PostgresError::Exited {
                            status: status.to_string(),
                            log: self.log(),
                            tail,
                        });
                    }
                    sleep(10 * GLANCE);
                }
            }
        }
    }

    /// A running server of this directory that nobody holds. Waits while it starts or stops.
    fn orphan(&self) -> Result<Option<PidFile>, PostgresError> {
        let deadline = Instant::now() + self.patience;
        while let Some(file) = PidFile::read(self.data_dir()) {
            if !pidfile::serves(file.pid, self.data_dir()) {
                if pidfile::is_running(file.pid) {
                    // PostgreSQL would take that process for a server. It still refuses if memory is in use.
                    tracing::warn!(
                        pid = file.pid,
                        "postmaster.pid names a process that is no server of ours"
                    );
                    let path = pidfile::path(self.data_dir());
                    fs::remove_file(&path)
                        .map_err(PostgresError::io(format!("remove the outdated {}", path.display())))?;
                }
                return Ok(None);
            }
            if file.is_reachable() {
                return Ok(Some(file));
            }
            if Instant::now() > deadline {
                let state = if file.status == Status::Stopping { "stopping" } else { "starting" };
                return Err(self.timeout(state));
            }
            sleep(GLANCE);
        }
        Ok(None)
    }

    fn start(&self) -> Result<Outcome, PostgresError> {
        let command_line = self.command_line(&socket::of(&self.cluster)?);
        let (mut child, pipe) = guard::start(self.orders(), &self.log(), &command_line)?;
        let deadline = Instant::now() + self.patience;
        loop {
            let ended = child.try_wait().map_err(PostgresError::io("wait for PostgreSQL"))?;
            if let Some(status) = ended {
                return Ok(Outcome::Exited(status));
            }
            if let Some(file) = PidFile::read(self.data_dir())
                && file.pid == child.id()
                && file.status == Status::Ready
            {
                return Ok(Outcome::Ready(child, pipe, file));
            }
            if Instant::now() > deadline {
                // The pipe is dropped: the guard stops it. Only the thread below is there to reap it.
                std::thread::spawn(move || child.wait());
                return Err(self.timeout("starting"));
            }
            sleep(GLANCE);
        }
    }

    /// What we set is on the command line, which wins over every file in the data directory.
    fn command_line(&self, socket_dir: &Path) -> Vec<OsString> {
        let mut line: Vec<OsString> =
            vec![self.binaries.join("postgres").into(), "-D".into(), self.data_dir().into()];
        let mut sockets = OsString::from("unix_socket_directories=\"");
        // A list in PostgreSQL's syntax: quoted, so that commas and spaces belong to the name.
        sockets.push(socket_dir.to_string_lossy().replace('"', "\"\""));
        sockets.push("\"");
        line.extend(["-c".into(), sockets]);
        let port = format!("port={}", socket::PORT);
        let mut settings = vec![
            port.as_str(),
            "listen_addresses=",
            "unix_socket_permissions=0700",
            "logging_collector=off",
            "log_destination=stderr",
            "timezone=UTC",
            "log_timezone=UTC",
            "max_connections=200",
        ];
        if self.durability == Durability::Off {
            // Commits stay synchronous: without fsync that costs nothing, and a killed server loses nothing.
            settings.extend(["fsync=off", "full_page_writes=off"]);
        }
        for setting in settings {
            line.extend(["-c".into(), setting.into()]);
        }
        line
    }

    fn orders(&self) -> Orders<'_> {
        Orders {
            account: self.cluster.account,
            data_dir: self.data_dir(),
            signal: match self.stop_mode {
                StopMode::Fast => "INT",
                StopMode::Immediate => "QUIT",
            },
            remove: self.remove.as_deref(),
        }
    }

    fn running(&self, file: PidFile, hold: Hold) -> Running {
        Running { file, data_dir: self.data_dir().to_owned(), hold }
    }

    fn data_dir(&self) -> &Path {
        &self.cluster.data_dir
    }

    fn log(&self) -> PathBuf {
        self.data_dir().join("server.log")
    }

    fn log_tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    fn timeout(&self, state: &'static str) -> PostgresError {
        PostgresError::Timeout { dir: self.data_dir().to_owned(), state, seconds: self.patience.as_secs() }
    }
}

/// What PostgreSQL says while the processes of a killed server are not all gone: the server itself as a zombie that
/// nobody reaped yet, or its children that still have its memory.
fn says_remains(log: &str) -> bool {
    ["lock file \"postmaster.pid\" already exists", "pre-existing shared memory block"]
        .iter()
        .any(|text| log.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    #[test]
    fn a_directory_whose_holder_has_no_server_is_reported_with_the_holder() {
        let dir = tempfile::tempdir().expect("a directory");
        let cluster = Cluster { data_dir: dir.path().join("pg"), account: Account::Own };
        let _held = cluster.try_lock().expect("no error").expect("free");
        let launch = Launch {
            cluster,
            binaries: "/nonexistent".into(),
            durability: Durability::Off,
            stop_mode: StopMode::Fast,
            remove: None,
            patience: Duration::from_millis(50),
        };
        let error = launch.run().expect_err("held").to_string();
        assert!(error.contains(&format!("held by process {}", std::process::id())), "{error}");
    }

    #[test]
    fn remains_of_a_killed_server_are_told_from_other_failures() {
        assert!(says_remains("FATAL:  lock file \"postmaster.pid\" already exists\nHINT: …"));
        assert!(says_remains("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use"));
        assert!(!says_remains("FATAL:  data directory has wrong ownership"));
    }
}
