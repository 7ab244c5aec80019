//! Databases for tests: one private server per test process, one database per test.
//!
//! The first call in a process starts a server in the temporary directory, without syncing. The first call
//! for a template name migrates a database. Every call copies that database's files, which takes
//! milliseconds. When the process ends, even by a crash, the guard stops the server and removes its
//! directory.
//!
//! `TEST_DATABASE_URL` names an existing server to use instead, by one of its databases, which stays
//! untouched. Its role must be allowed to create databases. The first call drops the databases that earlier
//! processes left there.

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

/// A database for one test.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// At most 10 connections, on the caller's runtime.
    pub pool: PgPool,
    /// For the test's own processes and pools.
    pub url: String,
}

/// Creates a database as a copy of the template `template`. The first call for a template in this process
/// creates it with `migrate`.
///
/// Other callers of the same template wait for the first. If `migrate` panics, the first caller gets the
/// panic, and the next caller tries again.
///
/// # Panics
/// If no server is available, with the reason: the test cannot run without one.
pub async fn database<F, Fut>(template: &str, migrate: F) -> TestDatabase
where
    F: FnOnce(PgPool) -> Fut,
    Fut: Future<Output = ()>,
{
    let server = tokio::task::spawn_blocking(|| test_server().clone()).await.expect("a server for the tests");
    let cell = template_cell(template);
    let source = cell
        .get_or_try_init(|| create_template(&server, migrate))
        .await
        .unwrap_or_else(|error| panic!("cannot create the template database {template}: {error}"));
    let name = new_name();
    copy_template(&server, source, &name)
        .await
        .unwrap_or_else(|error| panic!("cannot create a database for the test: {error}"));
    let options = server.options.clone().database(&name);
    let url = match &server.private {
        Some(private) => url::database_url(&private.file.socket_dir, private.file.port, &name),
        None => options.to_url_lossy().to_string(),
    };
    let pool = connect_pool(options)
        .await
        .unwrap_or_else(|error| panic!("cannot connect to the test's database: {error}"));
    TestDatabase { pool, url }
}

/// The server that this process's tests use. The static is never dropped: the guard stops a private server
/// when the process ends.
#[derive(Debug, Clone)]
struct TestServer {
    options: PgConnectOptions,
    /// `None` if `TEST_DATABASE_URL` names the server.
    private: Option<Arc<Running>>,
}

/// Prefix of this process's databases, so that processes can share a server.
static PREFIX: LazyLock<String> = LazyLock::new(|| {
    let unique = Uuid::new_v4().simple().to_string();
    format!("{}{}", external::NAME_PREFIX, &unique[..external::UNIQUE_LENGTH])
});

fn test_server() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(|| match env::var("TEST_DATABASE_URL") {
        Ok(url) if !url.is_empty() => {
            let options = PgConnectOptions::from_str(&url).expect("TEST_DATABASE_URL is a URL");
            external::register_process(options.clone(), &PREFIX);
            TestServer { options, private: None }
        }
        _ => {
            let private = private::start()
                .unwrap_or_else(|error| panic!("cannot start PostgreSQL for the tests: {error}"));
            let url = url::database_url(&private.file.socket_dir, private.file.port, "postgres");
            let options = PgConnectOptions::from_str(&url).expect("our own URL");
            TestServer { options, private: Some(Arc::new(private)) }
        }
    })
}

fn template_cell(template: &str) -> Arc<OnceCell<String>> {
    static CELLS: LazyLock<Mutex<HashMap<String, Arc<OnceCell<String>>>>> = LazyLock::new(Mutex::default);
    let mut cells = CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    cells.entry(template.to_owned()).or_default().clone()
}

/// Creates a template and returns its name. If `migrate` panics, no later call uses the half-made database.
async fn create_template<F, Fut>(server: &TestServer, migrate: F) -> Result<String, sqlx::Error>
where
    F: FnOnce(PgPool) -> Fut,
    Fut: Future<Output = ()>,
{
    let name = new_name();
    let mut admin = server.options.connect().await?;
    execute(&mut admin, format!("CREATE DATABASE {}", url::quote_identifier(&name))).await?;
    let pool = connect_pool(server.options.clone().database(&name)).await?;
    migrate(pool.clone()).await;
    pool.close().await;
    // An open connection, even autovacuum's, would block a copy.
    execute(&mut admin, format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", url::quote_identifier(&name)))
        .await?;
    admin.close().await?;
    Ok(name)
}

fn new_name() -> String {
    format!("{}_{}", *PREFIX, Uuid::new_v4().simple())
}

/// Copying files is faster than PostgreSQL 15's new default, which writes every page to the log.
async fn copy_template(server: &TestServer, source: &str, name: &str) -> Result<(), sqlx::Error> {
    let mut admin = server.options.connect().await?;
    let version: i32 =
        sqlx::query_scalar("-- testing::copy_template\nSELECT current_setting('server_version_num')::int")
            .fetch_one(&mut admin)
            .await?;
    let strategy = if version >= 150_000 { " STRATEGY file_copy" } else { "" };
    let statement = format!(
        "CREATE DATABASE {} TEMPLATE {}{strategy}",
        url::quote_identifier(name),
        url::quote_identifier(source)
    );
    execute(&mut admin, statement).await?;
    admin.close().await
}

async fn execute(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(format!("-- testing::execute\n{statement}"))).execute(connection).await?;
    Ok(())
}

/// Runs on the caller's runtime: a connection dies with the runtime that opened it.
async fn connect_pool(options: PgConnectOptions) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(options)
        .await
}
