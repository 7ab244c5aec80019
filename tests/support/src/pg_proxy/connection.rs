//! One connection through the proxy.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::statements::{Moment, Rule, Sent, Statements};
use super::wire::{Message, NOTIFICATION, Prepared, READY, ROW};

/// Connections whose statements belong to no attempt, by their application names.
const BACKGROUND: [&str; 2] = ["bedel-heartbeat", "bedel-claims"];

/// What all connections of a proxy share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    statements: Mutex<Statements>,
    pub(super) mutes: AtomicBool,
    pub(super) muted: AtomicUsize,
}

impl Shared {
    pub(super) fn statements(&self) -> MutexGuard<'_, Statements> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forwards until either side hangs up or a rule breaks the connection.
pub(super) async fn forward(
    mut client: UnixStream,
    server: &PgConnectOptions,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut startup = Message::read_startup(&mut client).await?;
    while startup.is_encryption_request() {
        client.write_all(b"N").await?;
        startup = Message::read_startup(&mut client).await?;
    }
    let (mut from_server, mut to_server) = connect(server).await?;
    to_server.write_all(startup.bytes()).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let by_attempt = !BACKGROUND.iter().any(|name| startup.contains(name));
    let under_way = Mutex::new(Vec::<Sent>::new());
    let under_way = || under_way.lock().unwrap_or_else(PoisonError::into_inner);

    let requests = async {
        let (mut prepared, mut transaction) = (Prepared::default(), Vec::new());
        loop {
            let message = Message::read(&mut from_client).await?;
            if let Some(name) = prepared.executed(&message) {
                let mut committed = Vec::new();
                match name.as_str() {
                    "BEGIN" | "ROLLBACK" => transaction.clear(),
                    "COMMIT" => committed = std::mem::take(&mut transaction),
                    _ => transaction.push(name.clone()),
                }
                let rule = {
                    let mut statements = shared.statements();
                    let sent = statements.send(name, by_attempt, committed);
                    let rule = statements.take(&sent, |moment| moment == Moment::Before);
                    under_way().push(sent);
                    rule
                };
                hold(rule).await?;
            }
            to_server.write_all(message.bytes()).await?;
        }
    };
    let answers = async {
        let (mut answer, mut has_rows, mut claimed) = (Vec::new(), false, None);
        loop {
            let message = match Message::read(&mut from_server).await {
                Ok(message) => message,
                Err(error) => {
                    to_client.write_all(&answer).await?;
                    return Err(error);
                }
            };
            if message.kind() == NOTIFICATION && shared.mutes.load(Ordering::SeqCst) {
                shared.muted.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            if message.kind() == ROW {
                has_rows = true;
                // The kind is the second column of a claim.
                if under_way().iter().any(Sent::is_claim)
                    && let Some(kind) = message.column(1)
                {
                    shared.statements().claim(&kind);
                    claimed = Some(kind);
                }
            }
            answer.extend_from_slice(message.bytes());
            if message.kind() == READY {
                let answered = std::mem::take(&mut *under_way());
                let is_now = |moment| moment == Moment::After || (moment == Moment::AfterRows && has_rows);
                let rule = {
                    let mut statements = shared.statements();
                    let at_claim = match message.is_in_transaction() {
                        true => None,
                        false => claimed.take().and_then(|kind| statements.take_claim(&kind)),
                    };
                    at_claim.or_else(|| answered.iter().find_map(|sent| statements.take(sent, is_now)))
                };
                has_rows = false;
                hold(rule).await?;
            } else if !under_way().is_empty() {
                continue;
            }
            to_client.write_all(&answer).await?;
            answer.clear();
        }
    };
    tokio::select! {
        end = requests => end,
        end = answers => end,
    }
}

type Halves = (Box<dyn AsyncRead + Send + Unpin>, Box<dyn AsyncWrite + Send + Unpin>);

async fn connect(server: &PgConnectOptions) -> std::io::Result<Halves> {
    let (host, port) = (server.get_host(), server.get_port());
    let socket = server.get_socket().cloned().or_else(|| host.starts_with('/').then(|| PathBuf::from(host)));
    if let Some(directory) = socket {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        let (read, write) = UnixStream::connect(path).await?.into_split();
        return Ok((Box::new(read), Box::new(write)));
    }
    let (read, write) = TcpStream::connect((host, port)).await?.into_split();
    Ok((Box::new(read), Box::new(write)))
}

/// Waits until the rule is released; an error breaks the connection.
async fn hold(rule: Option<Rule>) -> std::io::Result<()> {
    let Some(rule) = rule else { return Ok(()) };
    let _ = rule.reached.send(());
    rule.released.await.map_err(|_| std::io::ErrorKind::ConnectionAborted.into())
}
