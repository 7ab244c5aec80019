//! One owner, visitors, orphans, and owners that die without a word.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bedel_postgres::attach;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::actor::Actor;
use crate::support::{
    is_alive, kill_9, open_dir, processes_of, read_row, start, wait_for_no_process_of, wait_until, write_row,
};

#[tokio::test]
async fn the_second_to_start_visits_and_leaves_the_server_alone() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let owner = Actor::start("own", &data);
    let mut visitor = start(&data).await;
    assert_eq!(visitor.pid(), owner.server);
    write_row(&visitor).await;
    visitor.stop().await;
    assert!(is_alive(owner.server), "a visitor's stop does not touch the server");
    drop(start(&data).await);
    assert!(is_alive(owner.server), "nor does dropping it");

    visitor = start(&data).await;
    drop(owner);
    visitor.wait_exit().await;
    drop(visitor);
    let heir = start(&data).await;
    assert_eq!(read_row(&heir).await, "there", "once the owner is gone, the next one owns");
}

#[tokio::test]
async fn one_process_that_starts_twice_has_one_server() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let (one, two) = tokio::join!(start(&data), start(&data));
    assert_eq!(one.pid(), two.pid());
}

#[tokio::test]
async fn attach_finds_a_running_server() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    assert_eq!(attach(&data).await, None, "nothing there, and nothing is created");
    assert!(!data.exists());
    let owner = Actor::start("own", &data);
    let url = attach(&data).await.expect("it runs");
    let options: PgConnectOptions = url.parse().expect("a URL");
    options.database("postgres").connect().await.expect("connected").close().await.expect("closed");
    drop(owner);
    wait_for_no_process_of(dir.path());
    assert_eq!(attach(&data).await, None);
}

#[tokio::test]
async fn a_killed_owner_leaves_no_server_and_loses_nothing() {
    for role in ["own", "own, stop at once"] {
        let dir = open_dir();
        let data = dir.path().join("pg");
        let mut owner = Actor::start(role, &data);
        write_row(&start(&data).await).await;
        assert!(processes_of(dir.path()).len() > 2, "the processes are seen while they are there");
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
async fn an_owner_killed_at_any_moment_of_its_start_leaves_nothing_in_the_way() {
    // Alone, or with everything that it started, as when the machine stops.
    for everything in [false, true] {
        let dir = open_dir();
        let data = dir.path().join("pg");
        // From before initdb, over half of it, to a server that is up.
        for delay in [10, 50, 100, 150, 200, 250, 300, 400, 500, 700, 900] {
            let mut owner = Actor::spawn("own", &data);
            std::thread::sleep(Duration::from_millis(delay));
            owner.kill().expect("killed");
            owner.wait().expect("reaped");
            while everything && let Some((pid, _)) = processes_of(dir.path()).first() {
                // It may end by itself meanwhile.
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status();
            }
        }
        write_row(&start(&data).await).await;
        wait_for_no_process_of(dir.path());
        // Once the last interrupted initdb is gone too, a start clears away what it left.
        assert_eq!(read_row(&start(&data).await).await, "there");
        let left: Vec<PathBuf> =
            fs::read_dir(dir.path()).expect("listed").flatten().map(|entry| entry.path()).collect();
        assert_eq!(left.len(), 2, "the cluster and its lock, no leftovers: {left:?}");
    }
}

#[tokio::test]
async fn an_orphan_is_adopted_and_guarded_again() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let mut owner = Actor::start("own", &data);
    for (guard, _) in processes_of(&data).iter().filter(|(_, line)| line.contains("bedel-postgres-guard")) {
        kill_9(*guard);
    }
    owner.kill_9();
    let orphan = owner.server;
    assert!(is_alive(orphan), "without guard and owner nobody stops it");

    let mut second = Actor::start("own", &data);
    assert_eq!(second.server, orphan, "adopted, not fought");
    second.kill_9();
    wait_until("the new guard stops it", || !is_alive(orphan));

    let mut third = Actor::start("own", &data);
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
async fn the_server_of_a_test_process_ends_with_it_and_so_does_its_directory() {
    let dir = open_dir();
    for role in ["test and return", "test and panic", "test and hang"] {
        let mut process = Actor::start(role, dir.path());
        if role == "test and hang" {
            assert!(is_alive(process.server));
            process.kill_9();
        } else {
            let status = process.process.wait().expect("it ends");
            assert_eq!(status.success(), role == "test and return");
        }
        wait_until(&format!("{role}: the server is gone"), || !is_alive(process.server));
        wait_for_no_process_of(&process.data_dir);
        let place = process.data_dir.parent().expect("a parent");
        wait_until(&format!("{role}: the directory is gone"), || !place.exists());
    }
}
