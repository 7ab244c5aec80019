//! Tests on a server that is not ours (`TEST_DATABASE_URL`): it outlives us, so what tests leave there must go.
//!
//! A process cannot drop its own databases when it ends, since it may end by a crash. So the next one does: each process holds an
//! advisory lock named after its databases' prefix for as long as it lives, and databases whose lock is free are
//! dropped. Advisory locks belong to one database: all processes must be given the same one.

use std::sync::mpsc;
use std::thread;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};

use crate::url;

/// What every test database's name begins with, before its process's own part.
pub(super) const NAME_PREFIX: &str = "bedel_test_";
/// How long the process's own part is.
pub(super) const UNIQUE_LENGTH: usize = 12;

/// Takes this process's lock and drops the databases of processes that are gone. The lock's connection lives on a
/// thread of its own: no test's runtime lives as long as the process.
///
/// # Panics
/// When the server cannot be reached or refuses.
pub(super) fn join(options: PgConnectOptions, prefix: &'static str) {
    let (joined, wait) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime for one connection");
        runtime.block_on(async {
            let connected = enter(&options, prefix).await;
            let failed = connected.as_ref().err().map(ToString::to_string);
            // Nobody waits any more only if the whole process is ending.
            let _ = joined.send(failed);
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

async fn enter(options: &PgConnectOptions, prefix: &str) -> Result<PgConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query("-- external::enter\nSELECT pg_advisory_lock(hashtext($1))")
        .bind(prefix)
        .execute(&mut connection)
        .await?;
    let names: Vec<String> = sqlx::query_scalar(
        "-- external::enter\nSELECT datname::text FROM pg_database WHERE starts_with(datname::text, $1)",
    )
    .bind(NAME_PREFIX)
    .fetch_all(&mut connection)
    .await?;
    for name in names.iter().filter(|name| !name.starts_with(prefix)) {
        let Some(owner) = name.get(..NAME_PREFIX.len() + UNIQUE_LENGTH) else { continue };
        let free: bool = sqlx::query_scalar("-- external::enter\nSELECT pg_try_advisory_lock(hashtext($1))")
            .bind(owner)
            .fetch_one(&mut connection)
            .await?;
        if free {
            let statement = format!("-- external::enter\nDROP DATABASE IF EXISTS {}", url::quoted(name));
            // Somebody looks at it, or another process drops it too: not worth failing a test for.
            let _ = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
            sqlx::query("-- external::enter\nSELECT pg_advisory_unlock(hashtext($1))")
                .bind(owner)
                .execute(&mut connection)
                .await?;
        }
    }
    Ok(connection)
}
