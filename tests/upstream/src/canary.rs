//! Addresses that nobody may contact.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Mutex;

use crate::request;

/// Where a canary listens. 127.0.0.1 is the upstream's own.
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// What a careless client would take for a recording.
const BAIT: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 16\r\nconnection: close\r\n\r\n\
    \0\0\0\x10ftypisom\0\0\0\0";

/// The canary's own datagram, which it sends back.
const PROBE: &[u8] = b"canary?";

/// Listens on 127.0.0.2 and `[::1]`, at the port of an upstream, and counts who comes: a client that is lured to one of
/// them has let its guard down. It ends with the test's runtime.
#[derive(Debug)]
pub struct Canary {
    port: u16,
    counted: Arc<AtomicUsize>,
    /// Connections of its own among those counted.
    own: Mutex<usize>,
}

impl Canary {
    /// Listens on `port` of both addresses, for TCP and UDP.
    ///
    /// # Errors
    /// Where one of the four is taken.
    pub async fn start(port: u16) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for address in ADDRESSES {
            let listener = TcpListener::bind((address, port)).await?;
            sockets.push((listener, UdpSocket::bind((address, port)).await?));
        }
        let counted = Arc::new(AtomicUsize::new(0));
        for (listener, datagrams) in sockets {
            tokio::spawn(count_connections(listener, Arc::clone(&counted)));
            tokio::spawn(count_datagrams(datagrams, Arc::clone(&counted)));
        }
        Ok(Self { port, counted, own: Mutex::default() })
    }

    /// Connections and datagrams that have arrived so far. None is missed that arrived before this was called: the
    /// canary queues up behind them and waits for its own turn.
    pub async fn contacts(&self) -> usize {
        let mut own = self.own.lock().await;
        for address in self.addresses() {
            *own += 1;
            wait_in_line(address).await.expect("a canary answers itself");
        }
        self.counted.load(Ordering::SeqCst) - *own
    }

    /// `127.0.0.2:PORT` and `[::1]:PORT`.
    #[must_use]
    pub fn hosts(&self) -> [String; 2] {
        self.addresses().map(|address| address.to_string())
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        ADDRESSES.map(|address| SocketAddr::new(address, self.port))
    }
}

async fn count_connections(listener: TcpListener, counted: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        counted.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(lure(stream));
    }
}

async fn count_datagrams(socket: UdpSocket, counted: Arc<AtomicUsize>) {
    let mut datagram = [0; 64];
    while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
        if &datagram[..length] == PROBE {
            let _ = socket.send_to(PROBE, from).await;
        } else {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Answers a request, whatever it asks for. Who says nothing is not answered.
async fn lure(stream: TcpStream) -> io::Result<()> {
    let mut connection = BufReader::new(stream);
    if request::read(&mut connection).await?.is_some() {
        connection.write_all(BAIT).await?;
    }
    connection.shutdown().await
}

/// Comes as others do, and returns when it was answered: who came before has been counted then.
async fn wait_in_line(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    stream.read_u8().await?;
    let socket = UdpSocket::bind((address.ip(), 0)).await?;
    socket.send_to(PROBE, address).await?;
    socket.recv_from(&mut [0; 64]).await?;
    Ok(())
}
