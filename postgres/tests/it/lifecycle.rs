//! Start, stop, restart, and a server that dies before its owner.

use std::time::{Duration, Instant};

use bedel_postgres::{Durability, Server, attach};
use sqlx::{Connection, PgConnection};

use crate::support::{
    TIMEOUT, is_alive, kill_9, open_dir, options, query, read_row, start, wait_for_no_process_of, write_row,
};

#[tokio::test]
async fn data_survives_an_orderly_restart() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let server = start(&data).await;
    write_row(&server).await;
    let (pid, url) = (server.pid(), server.url("kept"));
    server.stop().await;
    assert!(!is_alive(pid), "stop returns after the server is gone");
    assert_eq!(attach(&data).await, None);

    let server = start(&data).await;
    assert_ne!(server.pid(), pid);
    assert_eq!(server.url("kept"), url, "the URL stays the same after a restart");
    assert_eq!(read_row(&server).await, "there");
    let log = std::fs::read_to_string(data.join("server.log")).expect("a log");
    assert!(!log.contains("not properly shut down"), "stop is orderly: {log}");
    drop(server);
    wait_for_no_process_of(dir.path());
}

#[tokio::test]
async fn only_its_user_can_reach_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let dir = open_dir();
    let server = start(dir.path().join("pg")).await;
    let url = server.url("postgres");
    assert_eq!(query(&url, "SELECT current_setting('listen_addresses')").await, "");
    let mode = std::fs::metadata(server.socket_dir()).expect("a directory").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn durability_sets_fsync_and_full_page_writes() {
    let dir = open_dir();
    let synced = "SELECT concat_ws(' ', current_setting('fsync'), current_setting('full_page_writes'))";
    for (name, durability, expected) in
        [("full", Durability::Full, "on on"), ("off", Durability::Off, "off off")]
    {
        let mut options = options(dir.path().join(name));
        options.durability = durability;
        let server = Server::start(options).await.expect("a server");
        assert_eq!(query(&server.url("postgres"), synced).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_database_is_created_once() {
    let dir = open_dir();
    let server = start(dir.path().join("pg")).await;
    let odd = "lectures, \"odd\" and ?#%";
    let both = tokio::join!(server.create_database(odd), server.create_database(odd));
    both.0.expect("created or found");
    both.1.expect("created or found");
    server.create_database(odd).await.expect("found");
    assert_eq!(query(&server.url(odd), "SELECT current_database()::text").await, odd);
}

#[tokio::test]
async fn a_killed_server_is_noticed_and_restarts_with_its_data() {
    let dir = open_dir();
    let data = dir.path().join("pg");
    let mut options = options(&data);
    options.durability = Durability::Full;
    let mut server = Server::start(options.clone()).await.expect("a server");
    write_row(&server).await;
    // A busy backend needs a moment to see that its server is gone.
    let mut busy = PgConnection::connect(&server.url("kept")).await.expect("connected");
    let url = server.url("kept");
    let query_task = tokio::spawn(async move {
        // Fails when the backend sees that its server is gone.
        let _ =
            sqlx::query("SELECT count(*) FROM generate_series(1, 10000000) busy").execute(&mut busy).await;
    });
    let count_busy =
        "SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE '%busy' AND pid <> pg_backend_pid()";
    let deadline = Instant::now() + TIMEOUT;
    while query(&url, count_busy).await != "1" {
        assert!(Instant::now() < deadline, "the query does not appear");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    kill_9(server.pid());
    tokio::time::timeout(TIMEOUT, server.wait_exit()).await.expect("wait_exit resolves");
    drop(server);
    let server = Server::start(options).await.expect("starts while old processes exit");
    assert_eq!(server.url("kept"), url);
    assert_eq!(read_row(&server).await, "there");
    query_task.await.expect("no panic");
}

#[tokio::test]
async fn wait_exit_waits_while_the_server_runs() {
    let dir = open_dir();
    let mut server = start(dir.path().join("pg")).await;
    let waited = tokio::time::timeout(Duration::from_millis(400), server.wait_exit()).await;
    assert!(waited.is_err(), "the server is alive");
}
