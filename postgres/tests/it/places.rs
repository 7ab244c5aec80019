//! Data directories with long or odd paths, wrong owners, foreign files or stale pid files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use bedel_postgres::{Server, attach, find_binaries, major_version};

use crate::support::{open_dir, options, query, read_row, start, wait_for_no_process_of, write_row};

#[tokio::test]
async fn a_path_too_long_for_a_socket_works() {
    let dir = open_dir();
    let data = dir.path().join("a".repeat(60)).join("b".repeat(60)).join("pg");
    let mut server = start(&data).await;
    write_row(&server).await;
    let (url, sockets) = (server.url("kept"), server.socket_dir().to_owned());
    assert!(!sockets.starts_with(dir.path()));
    assert_eq!(fs::metadata(&sockets).expect("a directory").permissions().mode() & 0o777, 0o700);
    assert!(attach(&data).await.is_some());

    crate::support::kill_9(server.pid());
    server.wait_exit().await;
    drop(server);
    let server = start(&data).await;
    assert_eq!(server.url("kept"), url, "the URL stays the same after a crash");
    assert_eq!(read_row(&server).await, "there");
    server.stop().await;
    assert!(!sockets.exists(), "an orderly stop leaves nothing in the temporary directory");
}

#[tokio::test]
async fn a_path_with_odd_characters_works() {
    let dir = open_dir();
    let data = dir.path().join("my \"lectures\", 50% & more?#ü").join("pg 'x' $HOME");
    let server = start(&data).await;
    write_row(&server).await;
    assert_eq!(read_row(&server).await, "there");
    drop(server);
    wait_for_no_process_of(dir.path());
}

#[tokio::test]
async fn a_stale_pid_file_that_names_another_process_is_ignored() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    start(&data).await.stop().await;
    // As after a reboot: the id belongs to another process of the same user.
    let mut other_process = Command::new("sleep");
    let owner = fs::metadata(&data).expect("there");
    if fs::metadata(dir.path()).expect("there").uid() == 0 {
        other_process.uid(owner.uid()).gid(owner.gid());
    }
    let mut other_process = other_process.arg("1000").current_dir("/").spawn().expect("started");
    let pid_file = format!("{}\n{}\n1\n5432\n{1}\n\n  1 1\nready   \n", other_process.id(), data.display());
    fs::write(data.join("postmaster.pid"), pid_file).expect("written");
    assert_eq!(attach(&data).await, None);
    let server = start(&data).await;
    assert_ne!(server.pid(), other_process.id());
    server.stop().await;
    assert!(other_process.try_wait().expect("polled").is_none(), "the other process is left alone");
    other_process.kill().expect("killed");
    other_process.wait().expect("reaped");
}

#[tokio::test]
async fn a_directory_with_other_files_is_refused_and_left_alone() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    fs::create_dir(&data).expect("created");
    fs::write(data.join("thesis.txt"), "mine").expect("written");
    if fs::metadata(&data).expect("there").uid() == 0 {
        // Under root, a directory of another user.
        std::os::unix::fs::chown(&data, Some(65534), Some(65534)).expect("changed owner");
    }
    let error = Server::start(options(&data)).await.expect_err("not a cluster");
    assert!(error.to_string().contains("holds other files"), "{error}");
    assert_eq!(fs::read_to_string(data.join("thesis.txt")).expect("still there"), "mine");
}

#[tokio::test]
async fn a_cluster_of_another_version_is_refused_and_the_version_named() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    start(&data).await.stop().await;
    let version = fs::read_to_string(data.join("PG_VERSION")).expect("a version");
    let installed = major_version(&find_binaries(None).expect("installed")).expect("a version");
    assert_eq!(version.trim(), installed.to_string());
    fs::write(data.join("PG_VERSION"), "12\n").expect("written");
    let error = Server::start(options(&data)).await.expect_err("another version");
    assert!(error.to_string().contains("made by PostgreSQL 12"), "{error}");
}

#[tokio::test]
async fn an_error_at_start_quotes_the_log() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    start(&data).await.stop().await;
    fs::write(data.join("postgresql.auto.conf"), "shared_buffers = 'plenty'\n").expect("written");
    let error = Server::start(options(&data)).await.expect_err("a bad setting");
    assert!(error.to_string().contains("shared_buffers"), "{error}");
    wait_for_no_process_of(dir.path());
}

/// Only root runs the server as another user, who may be unable to enter a directory.
#[tokio::test]
async fn under_root_a_closed_directory_puts_the_data_below_var_lib() {
    let dir = open_dir();
    if fs::metadata(dir.path()).expect("there").uid() != 0 {
        return;
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("closed");
    let data = dir.path().join("pg");
    let server = start(&data).await;
    let used = query(&server.url("postgres"), "SELECT current_setting('data_directory')").await;
    assert!(used.starts_with("/var/lib/bedel/pg-"), "{used}");
    assert!(attach(&data).await.is_some(), "found by the requested path");
    assert_ne!(fs::metadata(&used).expect("there").uid(), 0);
    write_row(&server).await;
    server.stop().await;
    let server = start(&data).await;
    assert_eq!(read_row(&server).await, "there");
    server.stop().await;
    fs::remove_dir_all(&used).expect("removed");
    fs::remove_file(format!("{used}.lock")).expect("removed");
    // Fails if another cluster is there.
    let _ = fs::remove_dir("/var/lib/bedel");
}
