//! `bedel dev`: one command starts everything, restarts what is killed, and leaves nothing behind.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Process, Project, send, until};

const COURSE: &str = "0b5f7a64-4f5c-4d5e-9c59-2c5a2f0a7d11";

/// Nothing leaves this machine: kinds that call Panopto and the catalogue get no slot.
const SLOTS: &str = "download=1,cleanup-orphans=1";

fn start(project: &Project) -> Process {
    started(project, project.command(&["dev", "--listen", "127.0.0.1:0", "--slots", SLOTS]))
}

pub fn started(project: &Project, command: Command) -> Process {
    let mut dev = project.start_command(command);
    let began = Instant::now();
    while !dev.log().contains("ready: http://") {
        assert!(!dev.has_ended() && began.elapsed() < Duration::from_secs(60), "not ready:\n{}", dev.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    dev
}

pub fn stop(mut dev: Process) {
    dev.signal(Signal::TERM);
    assert_eq!(dev.wait().code(), Some(0), "{}", dev.log());
}

pub fn state_of(project: &Project) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(project.path().join(".data/dev.json")).ok()?).ok()
}

/// Submits a recording and returns the lecture's id. The host is Panopto's by name only.
fn submit(project: &Project, session: &str) -> String {
    let url = format!("https://bedel-test.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={session}");
    let said = project.run(&["submit", &url, "--course", COURSE]).ok();
    said.split_whitespace().nth(1).unwrap().to_owned()
}

/// True if the API answers for this lecture, asked by the user of `dev.json`.
async fn is_there(project: &Project, lecture: &str) -> bool {
    let Some(state) = state_of(project) else { return false };
    let url = format!("{}/api/lectures/{lecture}/status", state["api_url"].as_str().unwrap());
    // Another test may have installed it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let answer = client.get(url).bearer_auth(state["token"].as_str().unwrap()).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn until_there(project: &Project, lecture: &str) {
    let began = Instant::now();
    while !is_there(project, lecture).await {
        assert!(began.elapsed() < Duration::from_secs(60), "lecture {lecture} is not there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A process in /proc.
struct Found {
    pid: u32,
    parent: u32,
    command: String,
}

/// Every process that is not a zombie.
fn processes() -> Vec<Found> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Ok(command) = std::fs::read(entry.path().join("cmdline")) else { continue };
        // After the name in brackets, which may hold any character: state and parent.
        let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let (state, parent) = (fields.next().unwrap(), fields.next().unwrap().parse().unwrap());
        if state != "Z" {
            found.push(Found { pid, parent, command: String::from_utf8_lossy(&command).replace('\0', " ") });
        }
    }
    found
}

/// All descendants of a process.
fn descendants(of: u32) -> Vec<Found> {
    let (mut wanted, mut found) = (vec![of], Vec::new());
    let mut rest = processes();
    while let Some(parent) = wanted.pop() {
        let (children, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|process| process.parent == parent);
        wanted.extend(children.iter().map(|child| child.pid));
        found.extend(children);
        rest = others;
    }
    found
}

/// Process id of a child, found by a part of its command line.
fn child(dev: &Process, part: &str) -> Option<u32> {
    descendants(dev.pid())
        .into_iter()
        .find(|process| process.command.contains(part))
        .map(|process| process.pid)
}

/// The ids that still run.
fn alive(pids: &[u32]) -> Vec<String> {
    processes()
        .into_iter()
        .filter(|process| pids.contains(&process.pid))
        .map(|process| process.command)
        .collect()
}

fn postmaster(project: &Project) -> u32 {
    let data = std::fs::read_dir(project.path().join(".data")).unwrap();
    let file =
        data.map(|entry| entry.unwrap().path().join("postmaster.pid")).find(|file| file.exists()).unwrap();
    std::fs::read_to_string(file).unwrap().lines().next().unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_starts_everything_and_stops_everything() {
    let project = Project::new();
    let dev = start(&project);
    let state = state_of(&project).unwrap();
    assert_eq!(state["pid"], dev.pid());
    for name in ["dev.json", "dev-tokens.json"] {
        let mode = std::fs::metadata(project.path().join(".data").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let lecture = submit(&project, "11111111-0000-4000-8000-000000000001");
    assert!(is_there(&project, &lecture).await);
    assert!(project.run(&["jobs", "list", "--lecture", &lecture]).ok().contains("submit"));

    let second = project.run(&["dev", "--listen", "127.0.0.1:0"]).refused(1);
    assert!(second.contains(&format!("process {}", dev.pid())), "{second}");
    assert!(second.contains(state["api_url"].as_str().unwrap()), "{second}");

    let all: Vec<u32> = descendants(dev.pid()).iter().map(|process| process.pid).collect();
    assert!(all.len() > 4, "API, worker, scheduler and a server: {all:?}");
    let log = dev.log();
    stop(dev);
    until("all processes gone", || alive(&all).is_empty());
    assert!(state_of(&project).is_none(), "dev.json is removed first");
    assert!(!log.contains(state["admin_token"].as_str().unwrap()), "an administrator's token is in the log");
    project.run(&["jobs", "list"]).refused(2);

    let dev = start(&project);
    assert_eq!(state_of(&project).unwrap()["token"], state["token"], "a browser extension keeps its token");
    assert!(is_there(&project, &lecture).await, "what was acknowledged is still there");
    stop(dev);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_restart_and_nothing_acknowledged_is_lost() {
    let project = Project::new();
    let dev = start(&project);
    let url = state_of(&project).unwrap()["api_url"].clone();
    let mut lectures = Vec::new();
    for (number, part) in [" api ", " worker ", " scheduler "].into_iter().enumerate() {
        lectures.push(submit(&project, &format!("22222222-0000-4000-8000-00000000000{number}")));
        let old = child(&dev, part).unwrap();
        send(old, Signal::KILL);
        until(&format!("another{part}"), || child(&dev, part).is_some_and(|new| new != old));
        until_there(&project, &lectures[number]).await;
    }
    assert_eq!(state_of(&project).unwrap()["api_url"], url, "the API is where it was");

    lectures.push(submit(&project, "22222222-0000-4000-8000-000000000009"));
    let old = postmaster(&project);
    send(old, Signal::KILL);
    dev.wait_for_log("PostgreSQL restarted");
    for lecture in &lectures {
        until_there(&project, lecture).await;
    }
    let job = project.run(&["enqueue", "cleanup-orphans"]).ok().trim().to_owned();
    until("a job completed after all that", || {
        project.run(&["jobs", "show", &job]).out.contains("completed")
    });
    stop(dev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_supervisor_leaves_nothing_behind() {
    let project = Project::new();
    let mut dev = start(&project);
    let lecture = submit(&project, "33333333-0000-4000-8000-000000000001");
    let all: Vec<u32> = descendants(dev.pid()).iter().map(|process| process.pid).collect();
    dev.signal(Signal::KILL);
    dev.wait();
    assert!(
        project.run(&["jobs", "list"]).refused(2).contains("no `bedel dev` runs"),
        "its dev.json is not believed"
    );
    // At once, while the old processes still exit.
    let dev = start(&project);
    until_there(&project, &lecture).await;
    until("the old processes gone", || alive(&all).is_empty());
    stop(dev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_database_is_used_and_no_server_started() {
    let database = crate::program::bare().await;
    let project = Project::with_database(&database);
    let dev = start(&project);
    assert!(
        !project
            .path()
            .join(".data")
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with("pg") })
    );
    let lecture = submit(&project, "44444444-0000-4000-8000-000000000001");
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM lectures WHERE id = $1::uuid")
        .bind(&lecture)
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
    stop(dev);
}

/// A restart would not free the port, so `bedel dev` stops and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_stops_dev_with_a_message() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let database = crate::program::bare().await;
    let project = Project::with_database(&database);
    let ran = project.run(&["dev", "--listen", &address, "--slots", SLOTS]);
    assert!(ran.code == 2 && ran.err.contains(&address) && ran.err.contains("--listen"), "{}", ran.err);
}

/// The other tests run as the current user, in a container often root. This one runs as an ordinary user,
/// with only a login's environment.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_needs_no_more_than_root() {
    const NOBODY: u32 = 65_534;
    let project = Project::new();
    // Other users may not be able to read the build directory.
    let program = project.path().join("bedel");
    std::fs::copy(env!("CARGO_BIN_EXE_bedel"), &program).unwrap();
    let mut command = Command::new(&program);
    command
        .args(["dev", "--listen", "127.0.0.1:0", "--slots", SLOTS])
        .current_dir(project.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("NO_COLOR", "1")
        .env("HOME", project.path())
        .stdin(std::process::Stdio::null());
    if rustix::process::geteuid().is_root() {
        std::fs::set_permissions(project.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(project.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let dev = started(&project, command);
    let owner = std::fs::metadata(format!("/proc/{}", postmaster(&project))).unwrap().uid();
    assert_ne!(owner, 0, "the server is an ordinary user's");
    assert_eq!(owner, std::fs::metadata(project.path()).unwrap().uid());
    let lecture = submit(&project, "55555555-0000-4000-8000-000000000001");
    until_there(&project, &lecture).await;
    stop(dev);
}
