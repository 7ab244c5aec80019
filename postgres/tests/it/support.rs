//! Shared helpers: directories that the server's user can enter, and waits with a deadline.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bedel_postgres::{Durability, Server, ServerOptions, StopMode};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Longest wait for a state before a test fails.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// A directory that every user can enter: under root the server runs as another user.
pub fn open_dir() -> TempDir {
    let dir = tempfile::Builder::new().prefix("bedel-it-").tempdir().expect("a temporary directory");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("opened");
    dir
}

pub fn options(data_dir: impl Into<PathBuf>) -> ServerOptions {
    ServerOptions {
        data_dir: data_dir.into(),
        durability: Durability::Off,
        binaries: None,
        stop_mode: StopMode::Fast,
    }
}

pub async fn start(data_dir: impl Into<PathBuf>) -> Server {
    Server::start(options(data_dir)).await.expect("a server")
}

/// Waits for `condition`. Fails the test after [`TIMEOUT`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not after {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether a process runs. An unreaped zombie does not.
pub fn is_alive(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit_once(") ").expect("a name in parentheses").1.starts_with(['Z', 'X']),
        Err(_) => false,
    }
}

pub fn kill_9(pid: u32) {
    let status =
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "cannot kill process {pid}");
}

/// Processes with `path` in an argument or as working directory: servers, their children and guards.
pub fn processes_of(path: &Path) -> Vec<(u32, String)> {
    let path = path.to_str().expect("UTF-8");
    fs::read_dir("/proc")
        .expect("/proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| is_alive(*pid) && *pid != std::process::id())
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
            (line.contains(path) || cwd.starts_with(path)).then_some((pid, line))
        })
        .collect()
}

pub fn wait_for_no_process_of(path: &Path) {
    wait_until("no server and no guard is left", || processes_of(path).is_empty());
}

/// Creates a table with one row in the database `kept`.
pub async fn write_row(server: &Server) {
    server.create_database("kept").await.expect("created");
    let mut connection = PgConnection::connect(&server.url("kept")).await.expect("connected");
    sqlx::raw_sql("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('there')")
        .execute(&mut connection)
        .await
        .expect("written");
    connection.close().await.expect("closed");
}

/// The row of [`write_row`].
pub async fn read_row(server: &Server) -> String {
    query(&server.url("kept"), "SELECT word FROM kept").await
}

pub async fn query(url: &str, statement: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.expect("connected");
    let value = sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("a value");
    connection.close().await.expect("closed");
    value
}
