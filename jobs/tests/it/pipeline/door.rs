//! The door between a worker and PostgreSQL: it counts the statements of an attempt and can be shut at any of them.
//!
//! It speaks just enough of the protocol to know where a statement begins and when the server has done it. While the
//! door is shut the worker waits, so what a test does meanwhile, such as killing it, happens exactly there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

/// Where the door is shut, within the first attempt of a kind that comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The server has done the claim; the worker has not heard of it.
    Claimed,
    /// The n-th statement, counted from 0, has not been sent.
    Before(usize),
    /// The server has done the n-th statement; the worker has not heard of it.
    After(usize),
}

/// A door that will be shut.
#[derive(Debug)]
pub struct Shut {
    /// Fires when it is.
    pub reached: oneshot::Receiver<()>,
    /// Opens it; dropping it breaks the connection instead.
    pub open: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The kind of the attempt at work, where it is the first of its kind.
    kind: Option<String>,
    /// What passed, for each kind.
    statements: HashMap<String, Vec<String>>,
    shut: Option<(&'static str, Point, oneshot::Sender<()>, oneshot::Receiver<()>)>,
}

/// A door; it is gone when it is dropped.
#[derive(Debug)]
pub struct Door {
    directory: TempDir,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Door {
    /// A door to the server of these options.
    pub fn new(server: &PgConnectOptions) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("a socket");
        let state = Arc::<Mutex<State>>::default();
        let (server, shared) = (server.clone(), Arc::clone(&state));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, shared) = (server.clone(), Arc::clone(&shared));
                // Either side may hang up at any time: that is what the door is for.
                tokio::spawn(async move { drop(connect(client, &server, &shared).await) });
            }
        });
        Self { directory, state, task }
    }

    /// The same database, through this door.
    pub fn through(directory: &Path, options: PgConnectOptions) -> PgConnectOptions {
        options.socket(directory).port(5432).ssl_mode(sqlx::postgres::PgSslMode::Disable)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Shuts the door at this point of the first attempt of `kind`.
    pub fn shut(&self, kind: &'static str, point: Point) -> Shut {
        let ((reach, reached), (open, opened)) = (oneshot::channel(), oneshot::channel());
        lock(&self.state).shut = Some((kind, point, reach, opened));
        Shut { reached, open }
    }

    /// The statements of the first attempt of `kind`, by the names in their first lines.
    pub fn statements(&self, kind: &str) -> Vec<String> {
        lock(&self.state).statements.get(kind).cloned().unwrap_or_default()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// The door's ends, where this point of the attempt at work is the one to be shut at.
    fn shut_at(&mut self, point: Point) -> Option<(oneshot::Sender<()>, oneshot::Receiver<()>)> {
        let kind = self.kind.as_deref()?;
        if !matches!(&self.shut, Some((shut, at, ..)) if *shut == kind && *at == point) {
            return None;
        }
        self.shut.take().map(|(_, _, reach, opened)| (reach, opened))
    }
}

/// What both directions of one connection share.
#[derive(Debug, Default)]
struct Exchange {
    /// A claim is under way.
    claiming: AtomicBool,
    /// The answer is held back until it is whole, and then until the door opens.
    held: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
}

async fn connect(
    mut client: UnixStream,
    server: &PgConnectOptions,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let mut startup = vec![0; 4];
    client.read_exact(&mut startup).await?;
    let length = u32::from_be_bytes([startup[0], startup[1], startup[2], startup[3]]) as usize;
    startup.resize(length, 0);
    client.read_exact(&mut startup[4..]).await?;
    let (mut from_server, mut to_server) = reach(server).await?;
    to_server.write_all(&startup).await?;

    let (mut from_client, mut to_client) = client.into_split();
    // The heartbeat is no step of an attempt.
    let counted = !startup.windows(15).any(|part| part == b"bedel-heartbeat");
    // Nor is what a claim does besides claiming.
    let claims = startup.windows(12).any(|part| part == b"bedel-claims");
    let exchange = Exchange::default();
    let asking = async {
        let mut names = HashMap::new();
        loop {
            let message = read(&mut from_client).await?;
            let statement =
                statement(&message, &mut names).filter(|name| counted && (!claims || name == "claim"));
            if let Some(statement) = statement {
                pass(&statement, state, &exchange).await?;
            }
            to_server.write_all(&message).await?;
        }
    };
    let answering = async {
        let mut kept = Vec::new();
        loop {
            let message = read(&mut from_server).await?;
            let ready = message[0] == b'Z';
            // A claim within a transaction is done when that is committed.
            let committed = ready && !(claims && message[5] == b'T');
            if message[0] == b'D' && exchange.claiming.load(Ordering::SeqCst) {
                claimed(&message, state, &exchange);
            }
            kept.extend(message);
            let held = exchange.held.lock().unwrap_or_else(PoisonError::into_inner).is_some();
            if held && !ready {
                continue;
            }
            if committed {
                exchange.claiming.store(false, Ordering::SeqCst);
                let ends = exchange.held.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(ends) = ends {
                    wait(ends).await?;
                }
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

type Ends = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

async fn reach(server: &PgConnectOptions) -> std::io::Result<Ends> {
    let socket = server
        .get_socket()
        .cloned()
        .or_else(|| server.get_host().starts_with('/').then(|| PathBuf::from(server.get_host())));
    if let Some(directory) = socket {
        let path = directory.join(format!(".s.PGSQL.{}", server.get_port()));
        let (read, write) = UnixStream::connect(path).await?.into_split();
        return Ok((Box::new(read), Box::new(write)));
    }
    let (read, write) = TcpStream::connect((server.get_host(), server.get_port())).await?.into_split();
    Ok((Box::new(read), Box::new(write)))
}

/// One whole message: its type, its length, its content.
async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; 5];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes([message[1], message[2], message[3], message[4]]) as usize;
    message.resize(length + 1, 0);
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

/// The name of the statement that a message starts to execute.
fn statement(message: &[u8], names: &mut HashMap<String, Option<String>>) -> Option<String> {
    let text = |part: usize| {
        let text = message[5..].split(|&byte| byte == 0).nth(part).unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    };
    // Ours have their names in their first lines; sqlx asks for types, and listens, in words of its own.
    let name = |sql: &str| {
        let first = sql.lines().next().unwrap_or_default().trim();
        // A BEGIN may bring settings along.
        let transaction = ["BEGIN", "COMMIT", "ROLLBACK"].into_iter().find(|word| first.starts_with(word));
        first.strip_prefix("-- ").or(transaction).map(str::to_owned)
    };
    match message[0] {
        b'P' => {
            names.insert(text(0), name(&text(1)));
            None
        }
        b'B' => names.get(&text(1)).cloned().flatten(),
        b'Q' => name(&text(0)),
        _ => None,
    }
}

/// A statement is about to be sent.
async fn pass(statement: &str, state: &Mutex<State>, exchange: &Exchange) -> std::io::Result<()> {
    if statement == "claim" {
        exchange.claiming.store(true, Ordering::SeqCst);
        return Ok(());
    }
    // Wake-ups come and go as they like.
    if statement == "queue::notify" {
        return Ok(());
    }
    let ends = {
        let mut state = lock(state);
        let Some(kind) = state.kind.clone() else { return Ok(()) };
        let passed = state.statements.entry(kind).or_default();
        passed.push(statement.to_owned());
        let number = passed.len() - 1;
        if let Some(ends) = state.shut_at(Point::After(number)) {
            *exchange.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends);
        }
        state.shut_at(Point::Before(number))
    };
    match ends {
        Some(ends) => wait(ends).await,
        None => Ok(()),
    }
}

/// The claim brought a job.
fn claimed(row: &[u8], state: &Mutex<State>, exchange: &Exchange) {
    // The number of columns, then the length and content of each; the kind is the second.
    let length = |at: usize| u32::from_be_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]) as usize;
    let second = 7 + 4 + length(7);
    let kind = String::from_utf8_lossy(&row[second + 4..second + 4 + length(second)]).into_owned();
    let mut state = lock(state);
    if state.statements.contains_key(&kind) {
        state.kind = None;
        return;
    }
    state.statements.insert(kind.clone(), Vec::new());
    state.kind = Some(kind);
    if let Some(ends) = state.shut_at(Point::Claimed) {
        *exchange.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends);
    }
}

async fn wait((reach, opened): (oneshot::Sender<()>, oneshot::Receiver<()>)) -> std::io::Result<()> {
    let _ = reach.send(());
    opened.await.map_err(|_| std::io::ErrorKind::ConnectionAborted.into())
}
