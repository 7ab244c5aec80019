//! How an answer goes over the wire.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::ledger::{UnderWay, Written};
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

/// Sends `reply` to a request of this method.
pub(crate) async fn send(
    reply: &Reply,
    method: &str,
    connection: &mut Connection,
    under_way: &mut UnderWay<'_>,
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
    let ends_here = method == "HEAD" || carries_no_body(reply.status);
    let nothing_follows = ends_here || (reply.body.is_empty() && reply.framing != Framing::Chunked);
    let is_last = nothing_follows && reply.stop.is_none();
    under_way.write(connection, head.as_bytes(), Written { is_body: false, is_last }).await?;
    if !ends_here {
        return send_body(reply, connection, under_way).await;
    }
    connection.flush().await?;
    Ok(if reply.keeps_connection() { End::Open } else { End::Close })
}

/// Statuses whose answers end with their headers (RFC 9112, 6.3).
fn carries_no_body(status: u16) -> bool {
    status == 204 || status == 304
}

async fn send_body(
    reply: &Reply,
    connection: &mut Connection,
    under_way: &mut UnderWay<'_>,
) -> io::Result<End> {
    let (size, pause) = reply.drip.map_or((PIECE, None), |(bytes, pause)| (bytes, Some(pause)));
    let total = if reply.flow == Flow::EndlessBody { ENOUGH } else { reply.body.len() };
    let wanted = reply.stop.map_or(total, |(bytes, _)| bytes.min(total));
    let chunked = reply.framing == Framing::Chunked;
    let frame = |is_last| Written { is_body: false, is_last };
    let mut sent = 0;
    while sent < wanted {
        let from = sent % reply.body.len();
        let piece = &reply.body[from..(from + size).min(reply.body.len())];
        let part = &piece[..piece.len().min(wanted - sent)];
        if chunked {
            under_way.write(connection, format!("{:x}\r\n", piece.len()).as_bytes(), frame(false)).await?;
        }
        sent += part.len();
        let is_last = sent == wanted && !chunked && reply.stop.is_none();
        under_way.write(connection, part, Written { is_body: true, is_last }).await?;
        // A chunk that was not sent whole is not closed either.
        if chunked && part.len() == piece.len() {
            under_way.write(connection, b"\r\n", frame(false)).await?;
        }
        if let Some(pause) = pause {
            connection.flush().await?;
            tokio::time::sleep(pause).await;
        }
    }
    if chunked && reply.stop.is_none() {
        under_way.write(connection, b"0\r\n\r\n", frame(true)).await?;
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
