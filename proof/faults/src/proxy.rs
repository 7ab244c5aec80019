//! The proxy between a worker and PostgreSQL: it can be shut before a statement or after the server has done it, and it
//! can keep notifications back.
//!
//! While it is shut the worker waits, so what a scenario does meanwhile (killing it, breaking the connection, nothing) happens
//! exactly there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::error::FaultsError;
use crate::wire::{Message, NOTIFICATION, Prepared, READY, ROW};

/// What a worker sends besides the statements of its attempts, by the beginnings of the names. A statement of the queue's
/// that moves to another module has to move here too.
const BACKGROUND: [&str; 4] = ["claim", "heartbeat::", "rescue::", "queue::"];

/// Which statement.
#[derive(Debug, Clone)]
pub enum Which {
    /// The one with a name that begins like this.
    Named(&'static str),
    /// The n-th of all that attempts send, counted from 0.
    OfAttempts(usize),
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The server has not heard of it.
    Before,
    /// The server has done it, the worker has not heard of it.
    After,
    /// As `After`, where the answer brings rows.
    AfterRows,
}

/// A proxy that will be shut.
#[derive(Debug)]
pub struct Shut {
    reached: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

impl Shut {
    /// Waits until it is shut.
    ///
    /// # Errors
    /// Where it is not within `limit`.
    pub async fn reached(&mut self, limit: Duration) -> Result<(), FaultsError> {
        match tokio::time::timeout(limit, &mut self.reached).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(FaultsError::Late("the statement that the proxy waits for".to_owned())),
        }
    }

    /// Lets the connection go on.
    pub fn open(self) {
        let _ = self.open.send(());
    }

    /// Breaks the connection: what was held back never arrives.
    pub fn cut(self) {
        drop(self);
    }
}

#[derive(Debug)]
struct Rule {
    which: Which,
    when: When,
    /// How many are let pass first.
    skip: usize,
    reach: oneshot::Sender<()>,
    opened: oneshot::Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    /// The statements of attempts that passed.
    passed: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    muted: AtomicBool,
    kept_back: AtomicUsize,
}

/// A proxy; it is gone when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    directory: TempDir,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// A proxy to the server of this URL, which lies on a Unix socket.
    ///
    /// # Errors
    /// Where its own socket cannot be made.
    pub fn start(url: &str) -> Result<Self, FaultsError> {
        let server: PgConnectOptions = url.parse()?;
        let socket = server
            .get_socket()
            .ok_or_else(|| FaultsError::Setup("the server listens on no socket".to_owned()))?
            .join(format!(".s.PGSQL.{}", server.get_port()));
        let directory = tempfile::Builder::new()
            .prefix("bedel-proxy-")
            .tempdir()
            .map_err(FaultsError::io("create a directory"))?;
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432"))
            .map_err(FaultsError::io("listen for the proxy"))?;
        let shared = Arc::<Shared>::default();
        let state = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            // The connections end with the proxy.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (socket, state) = (socket.clone(), Arc::clone(&state));
                // Either side may hang up at any time: that is what the proxy is for.
                connections.spawn(async move { drop(connect(client, socket, &state).await) });
            }
        });
        Ok(Self { directory, shared, task })
    }

    /// The same database, through this proxy.
    pub fn url(&self, url: &str) -> String {
        let (before, _) = url.split_once("?host=").unwrap_or((url, ""));
        format!("{before}?host={}&port=5432&user=postgres&sslmode=disable", self.directory.path().display())
    }

    /// Will be shut once, at the first such statement after `skip` others.
    pub fn shut(&self, which: Which, when: When, skip: usize) -> Shut {
        let ((reach, reached), (open, opened)) = (oneshot::channel(), oneshot::channel());
        lock(&self.shared.state).rules.push(Rule { which, when, skip, reach, opened });
        Shut { reached, open }
    }

    /// Keeps all notifications back from now on.
    pub fn mute(&self) {
        self.shared.muted.store(true, Ordering::SeqCst);
    }

    /// How many notifications were kept back.
    pub fn kept_back(&self) -> usize {
        self.shared.kept_back.load(Ordering::SeqCst)
    }

    /// The names of the statements that attempts have sent so far.
    pub fn passed(&self) -> Vec<String> {
        lock(&self.shared.state).passed.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A statement under way: its name, and its number where an attempt sent it.
#[derive(Debug, Clone)]
struct UnderWay {
    name: String,
    number: Option<usize>,
}

impl State {
    fn pass(&mut self, name: String) -> UnderWay {
        if BACKGROUND.iter().any(|background| name.starts_with(background)) {
            return UnderWay { name, number: None };
        }
        self.passed.push(name.clone());
        UnderWay { name, number: Some(self.passed.len() - 1) }
    }

    /// The rule that shuts here, taken out; one that skips counts down.
    fn take(&mut self, under_way: &UnderWay, is_now: impl Fn(When) -> bool) -> Option<Rule> {
        let index = self.rules.iter().position(|rule| {
            is_now(rule.when)
                && match &rule.which {
                    Which::Named(name) => under_way.name.starts_with(name),
                    Which::OfAttempts(number) => under_way.number == Some(*number),
                }
        })?;
        if self.rules[index].skip > 0 {
            self.rules[index].skip -= 1;
            return None;
        }
        Some(self.rules.remove(index))
    }
}

async fn connect(mut client: UnixStream, socket: PathBuf, shared: &Shared) -> std::io::Result<()> {
    let startup = Message::read_startup(&mut client).await?;
    let (mut from_server, mut to_server) = UnixStream::connect(socket).await?.into_split();
    to_server.write_all(startup.bytes()).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let under_way = Mutex::new(Vec::<UnderWay>::new());
    let asked = || under_way.lock().unwrap_or_else(PoisonError::into_inner);

    let asking = async {
        let mut prepared = Prepared::default();
        loop {
            let message = Message::read(&mut from_client).await?;
            if let Some(name) = prepared.statement(&message) {
                let rule = {
                    let mut state = lock(&shared.state);
                    let statement = state.pass(name);
                    let rule = state.take(&statement, |when| when == When::Before);
                    asked().push(statement);
                    rule
                };
                wait(rule).await?;
            }
            to_server.write_all(message.bytes()).await?;
        }
    };
    let answering = async {
        let (mut kept, mut rows) = (Vec::new(), false);
        loop {
            let message = match Message::read(&mut from_server).await {
                Ok(message) => message,
                Err(error) => {
                    to_client.write_all(&kept).await?;
                    return Err(error);
                }
            };
            if message.kind() == NOTIFICATION && shared.muted.load(Ordering::SeqCst) {
                shared.kept_back.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            rows |= message.kind() == ROW;
            kept.extend_from_slice(message.bytes());
            if message.kind() == READY {
                // The answer is whole.
                let answered = std::mem::take(&mut *asked());
                let is_now = |when| when == When::After || (when == When::AfterRows && rows);
                let rule = {
                    let mut state = lock(&shared.state);
                    answered.iter().find_map(|statement| state.take(statement, is_now))
                };
                rows = false;
                wait(rule).await?;
            } else if !asked().is_empty() {
                continue;
            }
            to_client.write_all(&kept).await?;
            kept.clear();
        }
    };
    tokio::select! {
        end = asking => end,
        end = answering => end,
    }
}

/// Shut until it is opened; an error where the connection is to break.
async fn wait(rule: Option<Rule>) -> std::io::Result<()> {
    let Some(rule) = rule else { return Ok(()) };
    let _ = rule.reach.send(());
    rule.opened.await.map_err(|_| std::io::ErrorKind::ConnectionAborted.into())
}
