//! One owner, its guests, orphaned servers, and owners that are killed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bedel_postgres::attach;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::server_process::ServerProcess;
use crate::support::{
    is_alive, kill_9, open_dir, processes_of, read_row, start, wait_for_no_process_of, wait_until, write_row,
};

#[tokio::test]
async fn a_second_process_attaches_as_a_guest_and_never_stops_the_server() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let owner = ServerProcess::start("own", &data);
    let mut guest = start(&data).await;
    assert_eq!(guest.pid(), owner.server);
    write_row(&guest).await;
    guest.stop().await;
    assert!(is_alive(owner.server), "a guest's stop does not touch the server");
    drop(start(&data).await);
    assert!(is_alive(owner.server), "dropping a guest does not touch the server");

    guest = start(&data).await;
    drop(owner);
    guest.wait_exit().await;
    drop(guest);
    let next_owner = start(&data).await;
    assert_eq!(
        read_row(&next_owner).await,
        "there",
        "after the owner is gone, the next process becomes the owner"
    );
}

#[tokio::test]
async fn two_starts_in_one_process_share_one_server() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let (one, two) = tokio::join!(start(&data), start(&data));
    assert_eq!(one.pid(), two.pid());
}

#[tokio::test]
async fn attach_finds_a_running_server() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    assert_eq!(attach(&data).await, None, "no server, and none is created");
    assert!(!data.exists());
    let owner = ServerProcess::start("own", &data);
    let url = attach(&data).await.expect("running");
    let options: PgConnectOptions = url.parse().expect("a URL");
    options.database("postgres").connect().await.expect("connected").close().await.expect("closed");
    drop(owner);
    wait_for_no_process_of(dir.path());
    assert_eq!(attach(&data).await, None);
}

#[tokio::test]
async fn a_killed_owner_leaves_no_server_and_loses_no_data() {
    for role in ["own", "own, stop at once"] {
        let dir = open_dir();
        let data = dir.path().join("pg");
        let mut owner = ServerProcess::start(role, &data);
        write_row(&start(&data).await).await;
        assert!(processes_of(dir.path()).len() > 2, "the server's processes are found while it runs");
        owner.kill_9();
        wait_until("the server of a killed owner is gone", || !is_alive(owner.server));
        wait_for_no_process_of(dir.path());
        let server = start(&data).await;
        assert_eq!(read_row(&server).await, "there");
        let log = fs::read_to_string(data.join("server.log")).expect("a log");
        let recovered = log.contains("not properly shut down");
        assert_eq!(recovered, role == "own, stop at once", "fast is orderly and immediate is not: {log}");
    }
}

#[tokio::test]
async fn an_owner_killed_at_any_moment_of_its_start_does_not_block_the_next() {
    // Alone, or with all its child processes, as when the machine stops.
    for with_children in [false, true] {
        let dir = open_dir();
        let data = dir.path().join("pg");
        // Before initdb, during initdb, and after the server is ready.
        for delay in [10, 50, 100, 150, 200, 250, 300, 400, 500, 700, 900] {
            let mut owner = ServerProcess::spawn("own", &data);
            std::thread::sleep(Duration::from_millis(delay));
            owner.kill().expect("killed");
            owner.wait().expect("reaped");
            while with_children && let Some((pid, _)) = processes_of(dir.path()).first() {
                // It may have ended by itself.
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
            }
        }
        write_row(&start(&data).await).await;
        wait_for_no_process_of(dir.path());
        // After the last interrupted initdb is gone, a start removes its leftovers.
        assert_eq!(read_row(&start(&data).await).await, "there");
        let entries: Vec<PathBuf> =
            fs::read_dir(dir.path()).expect("listed").flatten().map(|entry| entry.path()).collect();
        assert_eq!(entries.len(), 2, "the cluster and its lock, no leftovers: {entries:?}");
    }
}

#[tokio::test]
async fn an_orphaned_server_is_adopted_and_guarded_again() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let mut owner = ServerProcess::start("own", &data);
    for (guard, _) in processes_of(&data).iter().filter(|(_, line)| line.contains("bedel-postgres-guard")) {
        kill_9(*guard);
    }
    owner.kill_9();
    let orphan = owner.server;
    assert!(is_alive(orphan), "without guard and owner it keeps running");

    let mut second = ServerProcess::start("own", &data);
    assert_eq!(second.server, orphan, "adopted, not replaced");
    second.kill_9();
    wait_until("the new guard stops it", || !is_alive(orphan));

    let mut third = ServerProcess::start("own", &data);
    for (guard, _) in processes_of(&data).iter().filter(|(_, line)| line.contains("bedel-postgres-guard")) {
        kill_9(*guard);
    }
    third.kill_9();
    let mut adopter = start(&data).await;
    assert_eq!(adopter.pid(), third.server);
    kill_9(third.server);
    adopter.wait_exit().await;
    drop(adopter);
    let adopter = start(&data).await;
    let pid = adopter.pid();
    adopter.stop().await;
    assert!(!is_alive(pid));
    wait_for_no_process_of(dir.path());
}

#[tokio::test]
async fn the_server_and_directory_of_a_test_process_end_with_it() {
    let dir = open_dir();
    for role in ["test and return", "test and panic", "test and hang"] {
        let mut process = ServerProcess::start(role, dir.path());
        if role == "test and hang" {
            assert!(is_alive(process.server));
            process.kill_9();
        } else {
            let status = process.process.wait().expect("reaped");
            assert_eq!(status.success(), role == "test and return");
        }
        wait_until(&format!("{role}: the server is gone"), || !is_alive(process.server));
        wait_for_no_process_of(&process.data_dir);
        let dir = process.data_dir.parent().expect("a parent");
        wait_until(&format!("{role}: the directory is gone"), || !dir.exists());
    }
}
