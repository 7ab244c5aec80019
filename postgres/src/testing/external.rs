//! Tests on an existing server (`TEST_DATABASE_URL`). It outlives the process, so the databases of tests must
//! be dropped.
//!
//! A process that crashes cannot drop its own databases, so the next process does. Each process holds an
//! advisory lock, named after its databases' prefix, while it lives. A new process drops the databases whose
//! lock is free. Advisory locks belong to one database, so `TEST_DATABASE_URL` must name the same database
//! for all processes.

use std::sync::mpsc;
use std::thread;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use crate::url;

/// First part of a test database's name. The process's unique part follows.
pub(super) const NAME_PREFIX: &str = "bedel_test_";
/// Length of the process's unique part.
pub(super) const UNIQUE_LENGTH: usize = 12;

/// Takes this process's lock and drops the databases of dead processes. The lock's connection lives on its
/// own thread: no test's runtime lives as long as the process.
///
/// # Panics
/// If the server is unreachable or refuses.
pub(super) fn register_process(options: PgConnectOptions, prefix: &'static str) {
    let (registered, wait) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime for one connection");
        runtime.block_on(async {
            let connected = lock_and_clean_up(&options, prefix).await;
            let error = connected.as_ref().err().map(ToString::to_string);
            // The receiver is gone only if the whole process is ending.
            let _ = registered.send(error);
            if connected.is_ok() {
                std::future::pending::<()>().await;
            }
        });
    });
    match wait.recv() {
        Ok(None) => {}
        Ok(Some(error)) => panic!("TEST_DATABASE_URL: {error}"),
        Err(_) => panic!("TEST_DATABASE_URL: no answer"),
    }
}

async fn lock_and_clean_up(options: &PgConnectOptions, prefix: &str) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query("-- external::lock_and_clean_up\nSELECT pg_advisory_lock(hashtext($1))")
        .bind(prefix)
        .execute(&mut connection)
        .await?;
    let names: Vec<String> = sqlx::query_scalar(
        "-- external::lock_and_clean_up\nSELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1)",
    )
    .bind(NAME_PREFIX)
    .fetch_all(&mut connection)
    .await?;
    for name in names.iter().filter(|name| !name.starts_with(prefix)) {
        let Some(owner) = name.get(..NAME_PREFIX.len() + UNIQUE_LENGTH) else { continue };
        let free: bool =
            sqlx::query_scalar("-- external::lock_and_clean_up\nSELECT pg_try_advisory_lock(hashtext($1))")
                .bind(owner)
                .fetch_one(&mut connection)
                .await?;
        if free {
            let statement = format!(
                "-- external::lock_and_clean_up\nDROP DATABASE IF EXISTS {}",
                url::quote_identifier(name)
            );
            // A connection may be open, or another process may drop it too. Neither is worth a failed test.
            let _ = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
            sqlx::query("-- external::lock_and_clean_up\nSELECT pg_advisory_unlock(hashtext($1))")
                .bind(owner)
                .execute(&mut connection)
                .await?;
        }
    }
    Ok(connection)
}
