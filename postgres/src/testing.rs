//! Databases for tests: one private server per test process, one database per test.
//!
//! The first caller in a process starts a server in the temporary directory, without any syncing. For each template name the
//! first caller migrates a database; every call then copies it, files and all, which takes milliseconds. The server ends with
//! the process, however that ends, and its directory is removed by its guard.
//!
//! `TEST_DATABASE_URL` names a server to use instead, by one of its databases (which stays untouched). Its role must be
//! allowed to create databases. What earlier processes left there is dropped.

mod external;
mod private;

use std::collections::HashMap;
use std::env;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::running::Running;
use crate::url;

/// A database that belongs to one test alone.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// At most 10 connections, on the runtime that asked for the database.
    pub pool: PgPool,
    /// For processes and pools of the test's own.
    pub url: String,
}

/// A new database: a copy of the one that `migrate` filled the first time this process asked for `template`.
///
/// Other callers of the same template wait for the first. If `migrate` panics, the panic is the first caller's, and the next
/// caller tries again.
///
/// # Panics
/// When there is no server to be had, with the reason: a test cannot go on without.
pub async fn database<F, Fut>(template: &str, migrate: F) -> TestDatabase
where
    F: FnOnce(PgPool) -> Fut,
    Fut: Future<Output = ()>,
{
    let base = tokio::task::spawn_blocking(|| base().clone()).await.expect("a server for the tests");
    let cell = template_cell(template);
    let source = cell
        .get_or_try_init(|| build(&base, migrate))
        .await
        .unwrap_or_else(|error| panic!("the template database {template} could not be made: {error}"));
    let name = new_name();
    copy(&base, source, &name).await.unwrap_or_else(|error| panic!("no database for the test: {error}"));
    let options = base.options.clone().database(&name);
    let url = match &base.server {
        Some(server) => url::of(&server.file.socket_dir, server.file.port, &name),
        None => options.to_url_lossy().to_string(),
    };
    let pool = pool(options).await.unwrap_or_else(|error| panic!("no connection for the test: {error}"));
    TestDatabase { pool, url }
}

/// The server of this process. A static is never dropped: the guard stops what is ours when the process ends.
#[derive(Debug, Clone)]
struct Base {
    options: PgConnectOptions,
    /// `None` when `TEST_DATABASE_URL` named one.
    server: Option<Arc<Running>>,
}

/// Databases of this process begin like this, so that processes can share a server.
static PREFIX: LazyLock<String> = LazyLock::new(|| {
    let unique = Uuid::new_v4().simple().to_string();
    format!("{}{}", external::NAME_PREFIX, &unique[..external::UNIQUE_LENGTH])
});

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| match env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => {
            let options = PgConnectOptions::from_str(&url).expect("TEST_DATABASE_URL is a URL");
            external::join(options.clone(), &PREFIX);
            Base { options, server: None }
        }
        _ => {
            let server =
                private::start().unwrap_or_else(|error| panic!("no PostgreSQL for the tests: {error}"));
            let url = url::of(&server.file.socket_dir, server.file.port, "postgres");
            let options = PgConnectOptions::from_str(&url).expect("our own URL");
            Base { options, server: Some(Arc::new(server)) }
        }
    })
}

fn template_cell(template: &str) -> Arc<OnceCell<String>> {
    static CELLS: Mutex<Option<HashMap<String, Arc<OnceCell<String>>>>> = Mutex::new(None);
    let mut cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    cells.get_or_insert_default().entry(template.to_owned()).or_default().clone()
}

/// Makes a template and returns its name. What a panic in `migrate` leaves half done has a name that nobody learns.
async fn build<F, Fut>(base: &Base, migrate: F) -> Result<String, sqlx::Error>
where
    F: FnOnce(PgPool) -> Fut,
    Fut: Future<Output = ()>,
{
    let name = new_name();
    let mut admin = base.options.connect().await?;
    run(&mut admin, format!("CREATE DATABASE {}", url::quoted(&name))).await?;
    let pool = pool(base.options.clone().database(&name)).await?;
    migrate(pool.clone()).await;
    pool.close().await;
    // Closed to connections, so that nothing (not even autovacuum) is in the way of a copy.
    run(&mut admin, format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", url::quoted(&name))).await?;
    admin.close().await?;
    Ok(name)
}

fn new_name() -> String {
    format!("{}_{}", *PREFIX, Uuid::new_v4().simple())
}

/// Copying files beats PostgreSQL 15's new default, which writes every page to the log.
async fn copy(base: &Base, source: &str, name: &str) -> Result<(), sqlx::Error> {
    let mut admin = base.options.connect().await?;
    let version: i32 =
        sqlx::query_scalar("-- testing::copy\nSELECT current_setting('server_version_num')::int")
            .fetch_one(&mut admin)
            .await?;
    let strategy = if version >= 150_000 { " STRATEGY file_copy" } else { "" };
    let statement =
        format!("CREATE DATABASE {} TEMPLATE {}{strategy}", url::quoted(name), url::quoted(source));
    run(&mut admin, statement).await?;
    admin.close().await
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(format!("-- testing::database\n{statement}"))).execute(connection).await?;
    Ok(())
}

/// Of the caller's runtime: a connection dies with the runtime that opened it.
async fn pool(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(options)
        .await
}
