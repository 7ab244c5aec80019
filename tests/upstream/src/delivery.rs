//! How an answer goes over the wire.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::reply::{Flow, Framing, Reply, Stop};

/// Written at a time.
const PIECE: usize = 16 * 1024;
/// Where "endless" ends, in bytes, should the client not go away.
const ENOUGH: usize = 1 << 30;

/// A connection's two directions, encrypted or not.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    /// The connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

pub(crate) type Connection = BufReader<Box<dyn Wire>>;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The next request may come.
    Open,
    /// The connection ends with the answer.
    Close,
    /// The answer was broken off, as scripted.
    BrokenOff,
}

/// Sends `reply` and tells `count` of each piece of the body that was handed to the system, in bytes.
pub(crate) async fn send(
    reply: &Reply,
    without_body: bool,
    connection: &mut Connection,
    count: impl Fn(usize),
) -> io::Result<End> {
    if !reply.latency.is_zero() {
        tokio::time::sleep(reply.latency).await;
    }
    if reply.flow == Flow::Silent {
        client_gone(connection).await;
        return Ok(End::Close);
    }
    let mut head = reply.head();
    if reply.flow == Flow::EndlessHeaders {
        return endless_headers(connection, head).await;
    }
    head += "\r\n";
    connection.write_all(head.as_bytes()).await?;
    if without_body || carries_no_body(reply.status) {
        connection.flush().await?;
        return Ok(if reply.keeps_connection() { End::Open } else { End::Close });
    }
    send_body(reply, connection, count).await
}

/// Statuses whose answers end with their headers (RFC 9112, 6.3).
fn carries_no_body(status: u16) -> bool {
    status == 204 || status == 304
}

async fn send_body(reply: &Reply, connection: &mut Connection, count: impl Fn(usize)) -> io::Result<End> {
    let (size, pause) = reply.drip.map_or((PIECE, None), |(bytes, pause)| (bytes, Some(pause)));
    let total = if reply.flow == Flow::EndlessBody { ENOUGH } else { reply.body.len() };
    let wanted = reply.stop.map_or(total, |(bytes, _)| bytes.min(total));
    let mut sent = 0;
    while sent < wanted {
        let from = sent % reply.body.len();
        let piece = &reply.body[from..(from + size).min(reply.body.len())];
        let part = &piece[..piece.len().min(wanted - sent)];
        if reply.framing == Framing::Chunked {
            connection.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        write_counted(connection, part, &count).await?;
        sent += part.len();
        // A chunk that was not sent whole is not closed either.
        if reply.framing == Framing::Chunked && part.len() == piece.len() {
            connection.write_all(b"\r\n").await?;
        }
        if let Some(pause) = pause {
            connection.flush().await?;
            tokio::time::sleep(pause).await;
        }
    }
    if reply.framing == Framing::Chunked && reply.stop.is_none() {
        connection.write_all(b"0\r\n\r\n").await?;
    }
    connection.flush().await?;
    match reply.stop {
        None if reply.keeps_connection() => Ok(End::Open),
        None => Ok(End::Close),
        Some((_, Stop::HangUp)) => Ok(End::BrokenOff),
        Some((_, Stop::Reset)) => {
            connection.get_ref().tcp().set_zero_linger()?;
            Ok(End::BrokenOff)
        }
        Some((_, Stop::Stall)) => {
            client_gone(connection).await;
            Ok(End::Close)
        }
    }
}

async fn write_counted(
    connection: &mut Connection,
    mut bytes: &[u8],
    count: &impl Fn(usize),
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = connection.write(bytes).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        count(written);
        bytes = &bytes[written..];
    }
    Ok(())
}

async fn endless_headers(connection: &mut Connection, head: String) -> io::Result<End> {
    connection.write_all(head.as_bytes()).await?;
    let padding = "p".repeat(1000);
    for number in 0..ENOUGH / padding.len() {
        connection.write_all(format!("x-padding-{number}: {padding}\r\n").as_bytes()).await?;
    }
    Ok(End::Close)
}

/// Waits until the client has hung up. What it still sends is thrown away.
async fn client_gone(connection: &mut Connection) {
    let mut sink = [0; 1024];
    while matches!(connection.read(&mut sink).await, Ok(1..)) {}
}
