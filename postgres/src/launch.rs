//! From a data directory to a running server: lock, create the cluster, adopt or start, wait until ready.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::error::PostgresError;
use crate::guard::{self, GuardConfig};
use crate::options::{Durability, StopMode};
use crate::pidfile::{self, PidFile, Status};
use crate::running::{POLL_INTERVAL, Role, Running};
use crate::socket;

/// Default of [`Launch::timeout`].
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a start retries while processes of a killed server still exit.
const OLD_SERVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that decides how a server is run.
#[derive(Debug)]
pub(crate) struct Launch {
    /// Data directory and account.
    pub(crate) cluster: Cluster,
    /// Directory of `postgres` and `initdb`.
    pub(crate) binaries: PathBuf,
    pub(crate) durability: Durability,
    /// How the guard stops the server.
    pub(crate) stop_mode: StopMode,
    /// A directory of ours in the temporary directory. The guard removes it after the server.
    pub(crate) remove_dir: Option<PathBuf>,
    /// Longest wait until another owner's server, or the new one, is ready. Includes recovery after a crash.
    pub(crate) timeout: Duration,
}

enum StartResult {
    Ready(Child, ChildStdin, PidFile),
    Exited(ExitStatus),
}

impl Launch {
    /// Returns when the server accepts connections. Blocks the thread.
    pub(crate) fn run(&self) -> Result<Running, PostgresError> {
        let deadline = Instant::now() + self.timeout;
        let lock = loop {
            if let Some(lock) = self.cluster.try_lock()? {
                break lock;
            }
            if let Some(file) = PidFile::read(self.data_dir()).filter(PidFile::is_reachable) {
                return Ok(self.running(file, Role::Guest));
            }
            if Instant::now() > deadline {
                return Err(PostgresError::Locked {
                    dir: self.data_dir().to_owned(),
                    owner: self.cluster.lock_owner(),
                });
            }
            sleep(POLL_INTERVAL);
        };
        self.cluster.ensure(&self.binaries, self.durability == Durability::Full)?;
        let retry_until = Instant::now() + OLD_SERVER_TIMEOUT;
        loop {
            if let Some(file) = self.find_orphan()? {
                tracing::info!(pid = file.pid, "adopting a PostgreSQL server whose owner died");
                let (guard, pipe) = guard::adopt(self.guard_config(), file.pid)?;
                return Ok(self.running(file, Role::Adopter { guard, pipe: Some(pipe), _lock: lock }));
            }
            match self.start()? {
                StartResult::Ready(child, pipe, file) => {
                    return Ok(self.running(file, Role::Parent { child, _pipe: pipe, _lock: lock }));
                }
                StartResult::Exited(status) => {
                    let tail = self.log_tail();
                    if !is_old_server_exiting(&tail) || Instant::now() > retry_until {
                        return Err(PostgresError::Exited {
                            status: status.to_string(),
                            log: self.log(),
                            tail,
                        });
                    }
                    sleep(10 * POLL_INTERVAL);
                }
            }
        }
    }

    /// The running server of this directory, which has no owner. Waits while it starts or stops.
    fn find_orphan(&self) -> Result<Option<PidFile>, PostgresError> {
        let deadline = Instant::now() + self.timeout;
        while let Some(file) = PidFile::read(self.data_dir()) {
            if !pidfile::is_serving(file.pid, self.data_dir()) {
                if pidfile::is_running(file.pid) {
                    // PostgreSQL would mistake that process for a server. Without the file it still refuses
                    // to start while an old server's shared memory is in use.
                    tracing::warn!(pid = file.pid, "postmaster.pid names a process that is not our server");
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
                return Err(self.timeout_error(state));
            }
            sleep(POLL_INTERVAL);
        }
        Ok(None)
    }

    fn start(&self) -> Result<StartResult, PostgresError> {
        let command_line = self.command_line(&socket::socket_dir(&self.cluster)?);
        let (mut child, pipe) = guard::start(self.guard_config(), &self.log(), &command_line)?;
        let deadline = Instant::now() + self.timeout;
        loop {
            let ended = child.try_wait().map_err(PostgresError::io("wait for PostgreSQL"))?;
            if let Some(status) = ended {
                return Ok(StartResult::Exited(status));
            }
            if let Some(file) = PidFile::read(self.data_dir())
                && file.pid == child.id()
                && file.status == Status::Ready
            {
                return Ok(StartResult::Ready(child, pipe, file));
            }
            if Instant::now() > deadline {
                // Dropping the pipe makes the guard stop the server. This thread reaps it.
                std::thread::spawn(move || child.wait());
                return Err(self.timeout_error("starting"));
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// Our settings go on the command line, which overrides every file in the data directory.
    fn command_line(&self, socket_dir: &Path) -> Vec<OsString> {
        let mut line: Vec<OsString> =
            vec![self.binaries.join("postgres").into(), "-D".into(), self.data_dir().into()];
        let mut sockets = OsString::from("unix_socket_directories=\"");
        // PostgreSQL parses a list here. The quotes keep commas and spaces in the name.
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
            "max_connections=400",
        ];
        if self.durability == Durability::Off {
            // Commits stay synchronous: without fsync that is free, and a killed server loses nothing.
            settings.extend(["fsync=off", "full_page_writes=off"]);
        }
        for setting in settings {
            line.extend(["-c".into(), setting.into()]);
        }
        line
    }

    fn guard_config(&self) -> GuardConfig<'_> {
        GuardConfig {
            account: self.cluster.account,
            data_dir: self.data_dir(),
            signal: match self.stop_mode {
                StopMode::Fast => "INT",
                StopMode::Immediate => "QUIT",
            },
            remove_dir: self.remove_dir.as_deref(),
        }
    }

    fn running(&self, file: PidFile, role: Role) -> Running {
        Running { file, data_dir: self.data_dir().to_owned(), role }
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

    fn timeout_error(&self, state: &'static str) -> PostgresError {
        PostgresError::Timeout { dir: self.data_dir().to_owned(), state, seconds: self.timeout.as_secs() }
    }
}

/// Whether PostgreSQL refused to start because processes of a killed server still exist: the server as an
/// unreaped zombie, or its children, which still hold the shared memory.
fn is_old_server_exiting(log: &str) -> bool {
    ["lock file \"postmaster.pid\" already exists", "pre-existing shared memory block"]
        .iter()
        .any(|text| log.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    #[test]
    fn a_locked_directory_without_a_server_is_reported_with_its_owner() {
        let dir = tempfile::tempdir().expect("a directory");
        let cluster = Cluster { data_dir: dir.path().join("pg"), account: Account::Current };
        let _lock = cluster.try_lock().expect("no error").expect("free");
        let launch = Launch {
            cluster,
            binaries: "/nonexistent".into(),
            durability: Durability::Off,
            stop_mode: StopMode::Fast,
            remove_dir: None,
            timeout: Duration::from_millis(50),
        };
        let error = launch.run().expect_err("locked").to_string();
        assert!(error.contains(&format!("locked by process {}", std::process::id())), "{error}");
    }

    #[test]
    fn an_old_server_that_still_exits_differs_from_other_failures() {
        assert!(is_old_server_exiting("FATAL:  lock file \"postmaster.pid\" already exists\nHINT: …"));
        assert!(is_old_server_exiting(
            "FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use"
        ));
        assert!(!is_old_server_exiting("FATAL:  data directory has wrong ownership"));
    }
}
