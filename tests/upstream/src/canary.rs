//! Addresses that no client may contact.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Mutex;

use crate::request;

/// Addresses of a canary. 127.0.0.1 is the upstream's.
const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The answer: a client without a guard takes it for a recording.
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\ncontent-length: 16\r\nconnection: close\r\n\r\n\
    \0\0\0\x10ftypisom\0\0\0\0";

/// The canary's own datagram, which it echoes and does not count.
const PROBE: &[u8] = b"canary?";

/// Listens on 127.0.0.2 and `[::1]`, at the port of an upstream, and counts contacts. A client that follows a
/// URL to one of them has a hole in its guard. The canary ends with the test's runtime.
#[derive(Debug)]
pub struct Canary {
    port: u16,
    counted: Arc<AtomicUsize>,
    /// How many of the counted connections the canary made itself.
    own_connections: Mutex<usize>,
}

impl Canary {
    /// Listens on `port` of both addresses, for TCP and UDP.
    ///
    /// # Errors
    /// If one of the four sockets is taken.
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
        Ok(Self { port, counted, own_connections: Mutex::default() })
    }

    /// Connections and datagrams so far. It counts everything that arrived before the call: the canary
    /// connects to itself and waits until that connection is answered.
    pub async fn contacts(&self) -> usize {
        let mut own_connections = self.own_connections.lock().await;
        for address in self.addresses() {
            *own_connections += 1;
            ping(address).await.expect("a canary answers itself");
        }
        self.counted.load(Ordering::SeqCst) - *own_connections
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
        tokio::spawn(answer(stream));
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

/// Answers any request. A connection without a request gets no answer.
async fn answer(stream: TcpStream) -> io::Result<()> {
    let mut connection = BufReader::new(stream);
    if request::read(&mut connection).await?.is_some() {
        connection.write_all(RESPONSE).await?;
    }
    connection.shutdown().await
}

/// Connects like any client and returns after the answer: all earlier contacts are counted by then.
async fn ping(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
    stream.read_u8().await?;
    let socket = UdpSocket::bind((address.ip(), 0)).await?;
    socket.send_to(PROBE, address).await?;
    socket.recv_from(&mut [0; 64]).await?;
    Ok(())
}
