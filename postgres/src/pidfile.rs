//! Reads `postmaster.pid`, where PostgreSQL writes which process serves a data directory, and checks that
//! process.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

/// The contents of a `postmaster.pid`: one fact per line, the same lines since PostgreSQL 10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PidFile {
    /// Line 1: the server's process id.
    pub(crate) pid: u32,
    /// Line 4: the port, part of the socket's name.
    pub(crate) port: u16,
    /// Line 5: the directory of the socket.
    pub(crate) socket_dir: PathBuf,
    /// Line 8: the server's state.
    pub(crate) status: Status,
}

/// Line 8 of `postmaster.pid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not open for connections yet, or the line is not written yet.
    Starting,
    /// Open for connections.
    Ready,
    /// Shutting down.
    Stopping,
}

impl PidFile {
    /// The file of this data directory. `None` if it is missing or incomplete.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(path(data_dir)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let status = match lines.get(7).map(|line| line.trim()) {
            Some("ready" | "standby") => Status::Ready,
            Some("stopping") => Status::Stopping,
            _ => Status::Starting,
        };
        Some(Self {
            pid: lines.first()?.trim().parse().ok()?,
            port: lines.get(3)?.trim().parse().ok()?,
            socket_dir: PathBuf::from(lines.get(4)?),
            status,
        })
    }

    /// Whether the server is ready and its socket accepts a connection from this process.
    pub(crate) fn is_reachable(&self) -> bool {
        self.status == Status::Ready && UnixStream::connect(self.socket()).is_ok()
    }

    fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{}", self.port))
    }
}

/// The path of a data directory's `postmaster.pid`.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("postmaster.pid")
}

/// Whether a process with this id runs. A zombie does not: it has ended and waits to be reaped.
pub(crate) fn is_running(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    match test_kill_process(pid) {
        // EPERM means that it exists and belongs to another user.
        Ok(()) | Err(rustix::io::Errno::PERM) => !is_zombie(pid),
        Err(_) => false,
    }
}

/// Whether this process runs and serves this data directory. After a reboot, or in a new container, the id in
/// an old file may belong to any process.
pub(crate) fn is_serving(pid: u32, data_dir: &Path) -> bool {
    if !is_running(pid) {
        return false;
    }
    let owner = |path: &Path| fs::metadata(path).map(|found| found.uid());
    if let (Ok(process), Ok(data)) = (owner(Path::new(&format!("/proc/{pid}"))), owner(data_dir))
        && process != data
    {
        return false;
    }
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        // The server changes into its data directory before it writes the file.
        Ok(cwd) => fs::canonicalize(data_dir).is_ok_and(|dir| dir == cwd),
        // No /proc here, or no permission: trust the file, as PostgreSQL does.
        Err(_) => true,
    }
}

fn is_zombie(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else { return false };
    // The name in parentheses may hold spaces and parentheses: the state follows the last one.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/data/pg15\n1763837000\n5432\n/run/it\n\n  123 456\nready   \n";

    #[test]
    fn a_complete_file_is_parsed() {
        let file = PidFile::parse(READY).expect("complete");
        assert_eq!((file.pid, file.port, file.status), (4711, 5432, Status::Ready));
        assert_eq!(file.socket_dir, Path::new("/run/it"));
    }

    #[test]
    fn an_incomplete_file_is_starting_or_none() {
        let lines: Vec<&str> = READY.lines().collect();
        let first = |count: usize| PidFile::parse(&(lines[..count].join("\n") + "\n"));
        assert_eq!(first(1), None);
        assert_eq!(first(4), None);
        assert_eq!(first(5).expect("five lines").status, Status::Starting);
        assert_eq!(
            PidFile::parse(&READY.replace("ready", "stopping")).expect("file").status,
            Status::Stopping
        );
    }

    #[test]
    fn a_zombie_is_not_running() {
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while is_running(child.id()) {
            assert!(std::time::Instant::now() < deadline, "an ended child still counts as running");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.wait().expect("reaped");
        assert!(is_running(std::process::id()));
    }
}
