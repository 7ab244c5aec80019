//! The built program, run like a person or an init system does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bedel_postgres::testing::{self, TestDatabase};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A project directory to run the program in.
pub struct Project {
    pub directory: TempDir,
    settings: Vec<(String, String)>,
}

impl Project {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), settings: Vec::new() }
    }

    pub fn with_database(database: &TestDatabase) -> Self {
        Self::new().set("DATABASE_URL", &database.url)
    }

    /// Sets a variable for all later runs.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The program without this machine's configuration in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bedel"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("NO_COLOR", "1")
            .env("HOME", self.path());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end, within a time limit.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        let (out, err) = (self.fresh_file(), self.fresh_file());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut process = Process { child: command.spawn().unwrap(), log: err.clone() };
        let code = process.wait().code().unwrap_or(-1);
        let text = |file| std::fs::read_to_string(file).unwrap();
        Ran { code, out: text(out), err: text(err) }
    }

    fn fresh_file(&self) -> PathBuf {
        self.path().join(format!("{}.log", uuid::Uuid::new_v4()))
    }

    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_command(self.command(arguments))
    }

    pub fn start_command(&self, mut command: Command) -> Process {
        let log = self.fresh_file();
        let output = File::create(&log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        Process { child: command.spawn().unwrap(), log }
    }
}

/// Result of a run.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Standard output of a successful run.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Standard error of a run that failed with this exit code.
    #[track_caller]
    pub fn refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self.err
    }
}

/// A running process. Killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Both outputs so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        until(&format!("{text:?} in the log"), || self.log().contains(text));
    }

    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < LIMIT, "still running:\n{}", self.log());
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // It may exit at this moment.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            // The project's directory may be deleted already.
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            println!("--- log of process {}:\n{log}", self.pid());
        }
    }
}

const LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits for a state, and panics with its description on timeout.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LIMIT, "it never came to: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// A database with the schema.
pub async fn migrated() -> TestDatabase {
    testing::database("bedel", async |pool| {
        bedel::migrate::run(&pool).await.unwrap();
    })
    .await
}

/// An empty database.
pub async fn bare() -> TestDatabase {
    testing::database("bare", async |_| {}).await
}
