//! A socket between workers and the server that a test can cut, or that loses one answer: an outage as a client sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bedel_queue::Queue;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{AbortHandle, JoinSet};
use uuid::Uuid;

use crate::support::Bench;

/// The way to the server, in a directory of its own.
pub struct Proxy {
    pub dir: PathBuf,
    listening: AbortHandle,
    server: Arc<Server>,
}

struct Server {
    socket: PathBuf,
    target: Target,
    /// The next COMMIT of a completion is answered to nobody.
    deaf: AtomicBool,
}

enum Target {
    Unix(PathBuf),
    Tcp(String, u16),
}

impl Proxy {
    pub fn open(pool: &PgPool) -> Self {
        let options = pool.connect_options();
        let port = options.get_port();
        let file = format!(".s.PGSQL.{port}");
        let dir = std::env::temp_dir().join(format!("bq-{}", &Uuid::new_v4().simple().to_string()[..12]));
        std::fs::create_dir(&dir).unwrap();
        let host = options.get_host();
        let target = match options.get_socket() {
            Some(socket) => Target::Unix(socket.join(&file)),
            None if host.starts_with('/') => Target::Unix(PathBuf::from(host).join(&file)),
            None => Target::Tcp(host.to_owned(), port),
        };
        let server = Arc::new(Server { socket: dir.join(file), target, deaf: AtomicBool::new(false) });
        let listening = listen(&server);
        Self { dir, listening, server }
    }

    /// A queue whose connections take this way.
    pub async fn queue_behind(&self, bench: &Bench) -> Bench {
        let options = bench.pool.connect_options().as_ref().clone().socket(&self.dir);
        let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
        Bench { queue: Queue::new(pool.clone()), pool, url: bench.url.clone() }
    }

    /// Every connection is lost, and new ones are refused: a socket that nobody listens on.
    pub fn cut(&self) {
        self.listening.abort(); // the connections' tasks go with it
    }

    /// The next transaction that completes a job is committed by the server, and its connection is lost before the answer
    /// arrives.
    pub fn lose_the_answer_to_a_completion(&self) {
        self.server.deaf.store(true, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub fn has_lost_it(&self) -> bool {
        !self.server.deaf.load(Ordering::SeqCst)
    }

    pub fn mend(&mut self) {
        std::fs::remove_file(&self.server.socket).unwrap();
        self.listening = listen(&self.server);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn listen(server: &Arc<Server>) -> AbortHandle {
    let server = Arc::clone(server);
    let listener = UnixListener::bind(&server.socket).unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let server = Arc::clone(&server);
            connections.spawn(async move {
                let _ = match &server.target {
                    Target::Unix(path) => match UnixStream::connect(path).await {
                        Ok(backend) => pass_on(client, backend, &server.deaf).await,
                        Err(error) => Err(error),
                    },
                    Target::Tcp(host, port) => match TcpStream::connect((host.as_str(), *port)).await {
                        Ok(backend) => pass_on(client, backend, &server.deaf).await,
                        Err(error) => Err(error),
                    },
                };
            });
        }
    });
    task.abort_handle()
}

async fn pass_on(
    client: UnixStream,
    backend: impl AsyncRead + AsyncWrite + Unpin,
    deaf: &AtomicBool,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_backend, mut to_backend) = tokio::io::split(backend);
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    let mut completes = false;
    loop {
        tokio::select! {
            length = from_client.read(&mut asked) => {
                let asked = &asked[..length?];
                let says = |text: &[u8]| asked.windows(text.len()).any(|window| window == text);
                to_backend.write_all(asked).await?;
                completes |= says(b"-- fence::complete");
                if asked.is_empty() {
                    return Ok(());
                }
                if completes && says(b"COMMIT\0") && deaf.load(Ordering::SeqCst) {
                    // The answer says that it is done; then both sides are closed.
                    let _ = from_backend.read(&mut answered).await?;
                    deaf.store(false, Ordering::SeqCst);
                    return Ok(());
                }
            }
            length = from_backend.read(&mut answered) => match length? {
                0 => return Ok(()),
                length => to_client.write_all(&answered[..length]).await?,
            },
        }
    }
}
