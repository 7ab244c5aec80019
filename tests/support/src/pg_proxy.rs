//! A proxy between workers and PostgreSQL that a test controls.
//!
//! While it holds a connection the worker waits, so whatever the test does meanwhile (kill it, break the connection, nothing)
//! happens exactly at that statement.

mod connection;
mod statements;
mod wire;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use connection::Shared;
use statements::Rule;
pub use statements::{Moment, Statement};

/// A Unix socket that leads to a server. Dropping it cuts every connection.
#[derive(Debug)]
pub struct PgProxy {
    directory: TempDir,
    server: PgConnectOptions,
    shared: Arc<Shared>,
    listener: AbortHandle,
}

impl Drop for PgProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl PgProxy {
    /// Listens in a new directory for connections to the server of these options.
    ///
    /// # Errors
    /// If the directory or the socket cannot be created.
    pub fn start(server: &PgConnectOptions) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("bedel-proxy-").tempdir()?;
        let (server, shared) = (server.clone(), Arc::default());
        let listener = listen(directory.path(), &server, &shared)?;
        Ok(Self { directory, server, shared, listener })
    }

    /// The directory of the socket, which has the server's port.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The same database, through this proxy.
    pub fn options(&self) -> PgConnectOptions {
        self.server.clone().socket(self.directory.path()).ssl_mode(PgSslMode::Disable)
    }

    /// The URL of a database of the server, through this proxy.
    pub fn url(&self, url: &str) -> String {
        let (base, _) = url.split_once('?').unwrap_or((url, ""));
        let (directory, port) = (self.directory.path().display(), self.server.get_port());
        format!("{base}?host={directory}&port={port}&user={}&sslmode=disable", self.server.get_username())
    }

    /// Holds the connection that sends the first such statement, once.
    pub fn hold(&self, statement: Statement, moment: Moment) -> Hold {
        self.hold_later(statement, moment, 0)
    }

    /// As [`hold`](Self::hold), after `skip` such statements have passed.
    pub fn hold_later(&self, statement: Statement, moment: Moment, skip: usize) -> Hold {
        let ((fire, reached), (release, released)) = (oneshot::channel(), oneshot::channel());
        self.shared.statements().add_rule(Rule { statement, moment, skip, reached: fire, released });
        Hold { reached, release }
    }

    /// Breaks the connection of the first such statement after the server has executed it.
    pub fn lose_answer(&self, statement: Statement) -> LostAnswer {
        LostAnswer(self.hold(statement, Moment::After).reached)
    }

    /// Drops all notifications from now on.
    pub fn mute_notifications(&self) {
        self.shared.mutes.store(true, Ordering::SeqCst);
    }

    /// Notifications dropped so far.
    pub fn muted_notifications(&self) -> usize {
        self.shared.muted.load(Ordering::SeqCst)
    }

    /// Names of the statements that attempts have sent.
    pub fn statements(&self) -> Vec<String> {
        self.shared.statements().of_attempts()
    }

    /// Names of the statements of the first attempt of a kind.
    pub fn statements_of(&self, kind: &str) -> Vec<String> {
        self.shared.statements().of_kind(kind)
    }

    /// Cuts every connection and refuses new ones: the socket stays, and nobody listens.
    pub fn cut(&self) {
        self.listener.abort(); // the connections' tasks end with it
    }

    /// Accepts connections again.
    ///
    /// # Errors
    /// If the socket cannot be replaced.
    pub fn restore(&mut self) -> std::io::Result<()> {
        std::fs::remove_file(self.directory.path().join(socket_name(&self.server)))?;
        self.listener = listen(self.directory.path(), &self.server, &self.shared)?;
        Ok(())
    }
}

fn socket_name(server: &PgConnectOptions) -> String {
    format!(".s.PGSQL.{}", server.get_port())
}

fn listen(directory: &Path, server: &PgConnectOptions, shared: &Arc<Shared>) -> std::io::Result<AbortHandle> {
    let listener = UnixListener::bind(directory.join(socket_name(server)))?;
    let (server, shared) = (server.clone(), Arc::clone(shared));
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let (server, shared) = (server.clone(), Arc::clone(&shared));
            // Either side may hang up at any time: faults are what the proxy is for.
            connections.spawn(async move { drop(connection::forward(client, &server, &shared).await) });
        }
    });
    Ok(task.abort_handle())
}

/// A connection that will be held. Dropping it breaks that connection.
#[derive(Debug)]
pub struct Hold {
    reached: oneshot::Receiver<()>,
    release: oneshot::Sender<()>,
}

impl Hold {
    /// Waits until the connection is held; false after `timeout`.
    pub async fn reached(&mut self, timeout: Duration) -> bool {
        matches!(tokio::time::timeout(timeout, &mut self.reached).await, Ok(Ok(())))
    }

    /// Lets the connection continue.
    pub fn release(self) {
        let _ = self.release.send(()); // its worker may be gone
    }

    /// Breaks the connection: the statement or its answer never arrives.
    pub fn cut(self) {
        drop(self);
    }
}

/// An answer that will be lost.
#[derive(Debug)]
pub struct LostAnswer(oneshot::Receiver<()>);

impl LostAnswer {
    /// Whether it has been lost by now.
    pub fn is_lost(&mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}
