//! The program on a terminal: a pseudo-terminal, like a person's.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::program::{Project, migrated, send, until};

/// What leaving the alternate screen writes.
const LEAVE: &str = "\u{1b}[?1049l";

/// A terminal with a program on it.
struct Terminal {
    keyboard: File,
    program_side: File,
    screen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

impl Terminal {
    fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let program_side = OpenOptions::new()
            .read(true)
            .write(true)
            .open(std::ffi::OsStr::from_bytes(name.as_bytes()))
            .unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&program_side, size).unwrap();
        let end = || Stdio::from(OwnedFd::from(program_side.try_clone().unwrap()));
        command.stdin(end()).stdout(end()).stderr(end()).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let child = command.spawn().unwrap();
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut output, seen) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                seen.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { keyboard, program_side, screen, child }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        until(&format!("{text:?} on the screen"), || self.text().contains(text));
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.program_side).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    fn wait(&mut self) -> i32 {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("still running:\n{}", self.text());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_the_queue_pauses_a_lane_and_restores_the_terminal() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let mut terminal = Terminal::start(project.command(&["top"]), 100, 30);
    terminal.wait_for("Lanes (");
    terminal.wait_for("maintenance");
    assert!(terminal.is_raw());
    terminal.keyboard.write_all(b"p").unwrap();
    terminal.wait_for("is paused");
    let queues: serde_json::Value = serde_json::from_str(&project.run(&["queues", "--json"]).ok()).unwrap();
    assert!(queues[0]["paused_at"].is_string(), "{queues}");
    terminal.keyboard.write_all(b"q").unwrap();
    assert_eq!(terminal.wait(), 0, "{}", terminal.text());
    terminal.wait_for(LEAVE);
    assert!(!terminal.is_raw());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_top_and_restores_the_terminal() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT] {
        let mut terminal = Terminal::start(project.command(&["top"]), 80, 24);
        terminal.wait_for("Lanes (");
        send(terminal.child.id(), signal);
        assert_eq!(terminal.wait(), 0, "{signal:?}: {}", terminal.text());
        terminal.wait_for(LEAVE);
        assert!(!terminal.is_raw(), "{signal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn top_without_a_terminal_prints_one_frame_or_says_how() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    assert!(project.run(&["top"]).refused(2).contains("bedel top --once"));
    assert!(project.run(&["top", "--json"]).refused(2).contains("--once --json"));
    let frame = project.run(&["top", "--once"]).ok();
    for text in ["bedel top", "Lanes (", "maintenance", "transcribe", "Schedules (0)"] {
        assert!(frame.contains(text), "{text}: {frame}");
    }
    assert!(!frame.contains('\u{1b}'), "{frame}");
    let snapshot: serde_json::Value =
        serde_json::from_str(&project.run(&["top", "--once", "--json"]).ok()).unwrap();
    assert!(snapshot["lanes"][0]["available"].is_i64() && snapshot["at"].is_string(), "{snapshot}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_the_terminal_and_hostile_text_does_not_reach_it() {
    let database = migrated().await;
    sqlx::query(
        "INSERT INTO queue.jobs (kind, args, state, finalized_at, give_up_at, give_up_after, max_attempts, \
                                 max_crashes, reason)
         VALUES ('download', '{}', 'discarded', now(), now(), '1 day', 5, 3,
                 E'gone\\u001b[2J\\u202e\\u009b and a long explanation of what went wrong on the way')",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    let project = Project::with_database(&database);
    let list = ["jobs", "list", "--state", "discarded"];
    let mut terminal = Terminal::start(project.command(&list), 80, 24);
    assert_eq!(terminal.wait(), 0);
    terminal.wait_for("…");
    let text = terminal.text();
    assert!(text.contains("\u{1b}[31mdiscarded\u{1b}[0m"), "{text:?}");
    let plain = text.replace("\u{1b}[31m", "").replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
    assert!(plain.contains("gone?[2J") && !plain.contains('\u{1b}'), "{plain:?}");
    assert!(plain.lines().all(|line| line.chars().count() <= 80), "{plain}");
    let job = plain.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(uuid::Uuid::try_parse(job).is_ok(), "an id is whole: {plain}");

    // A pipe gets everything and no colours, unless they are asked for.
    let piped = project.run(&list).ok();
    assert!(piped.contains("gone?[2J?? and a long explanation of what went wrong on the way"), "{piped}");
    assert!(piped.contains("WORKER") && !piped.contains('\u{1b}'), "{piped}");
    let json = project.run(&[&list[..], &["--json"]].concat()).ok();
    assert!(json.contains("gone\\u001b[2J\\u202e\\u009b"), "{json}");
    for (arguments, variable, value, has_colours) in [
        (&["--color", "always"][..], "NO_COLOR", "1", true),
        (&["--color", "never"], "CLICOLOR_FORCE", "1", false),
        (&[], "NO_COLOR", "1", false),
        (&[], "CLICOLOR_FORCE", "1", true),
    ] {
        let mut command = project.command(&[&list[..], arguments].concat());
        command.env_remove("NO_COLOR").env(variable, value);
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert_eq!(output.contains("\u{1b}[31m"), has_colours, "{arguments:?} {variable}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_no_error() {
    let database = migrated().await;
    let project = Project::with_database(&database);
    let mut command = project.command(&["openapi"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
