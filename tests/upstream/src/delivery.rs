//! Sends replies, with their faults.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::reply::{Flow, Framing, Reply, Stop};
use crate::traffic::{InFlight, WriteKind};
use crate::transport::Connection;

/// Bytes per write.
const PIECE_SIZE: usize = 16 * 1024;
/// End of an "endless" reply, in bytes, if the client stays.
const ENDLESS_LIMIT: usize = 1 << 30;

/// How a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection can take the next request.
    KeepOpen,
    /// The connection must close.
    Close,
    /// The reply was cut short on purpose. The connection must close.
    Abort,
}

/// Sends `reply` to a request with this method.
pub(crate) async fn send(
    reply: &Reply,
    method: &str,
    connection: &mut Connection,
    in_flight: &mut InFlight<'_>,
) -> io::Result<End> {
    if !reply.latency.is_zero() {
        tokio::time::sleep(reply.latency).await;
    }
    if reply.flow == Flow::Silent {
        wait_for_hang_up(connection).await;
        return Ok(End::Close);
    }
    let mut head = reply.head();
    if reply.flow == Flow::EndlessHeaders {
        return send_endless_headers(connection, head).await;
    }
    head += "\r\n";
    let head_only = method == "HEAD" || has_no_body(reply.status);
    let nothing_follows = head_only || (reply.body.is_empty() && reply.framing != Framing::Chunked);
    let is_last = nothing_follows && reply.stop.is_none();
    in_flight.write(connection, head.as_bytes(), WriteKind { is_body: false, is_last }).await?;
    if !head_only {
        return send_body(reply, connection, in_flight).await;
    }
    connection.flush().await?;
    Ok(if reply.keeps_connection() { End::KeepOpen } else { End::Close })
}

/// Statuses whose responses end after the headers (RFC 9112, 6.3).
fn has_no_body(status: u16) -> bool {
    status == 204 || status == 304
}

async fn send_body(
    reply: &Reply,
    connection: &mut Connection,
    in_flight: &mut InFlight<'_>,
) -> io::Result<End> {
    let (size, pause) = reply.drip.map_or((PIECE_SIZE, None), |(bytes, pause)| (bytes, Some(pause)));
    let total = if reply.flow == Flow::EndlessBody { ENDLESS_LIMIT } else { reply.body.len() };
    let wanted = reply.stop.map_or(total, |(bytes, _)| bytes.min(total));
    let chunked = reply.framing == Framing::Chunked;
    let frame = |is_last| WriteKind { is_body: false, is_last };
    let mut sent = 0;
    while sent < wanted {
        let from = sent % reply.body.len();
        let piece = &reply.body[from..(from + size).min(reply.body.len())];
        let part = &piece[..piece.len().min(wanted - sent)];
        if chunked {
            in_flight.write(connection, format!("{:x}\r\n", piece.len()).as_bytes(), frame(false)).await?;
        }
        sent += part.len();
        let is_last = sent == wanted && !chunked && reply.stop.is_none();
        in_flight.write(connection, part, WriteKind { is_body: true, is_last }).await?;
        // An incomplete chunk must stay open.
        if chunked && part.len() == piece.len() {
            in_flight.write(connection, b"\r\n", frame(false)).await?;
        }
        if let Some(pause) = pause {
            connection.flush().await?;
            tokio::time::sleep(pause).await;
        }
    }
    if chunked && reply.stop.is_none() {
        in_flight.write(connection, b"0\r\n\r\n", frame(true)).await?;
    }
    connection.flush().await?;
    match reply.stop {
        None if reply.keeps_connection() => Ok(End::KeepOpen),
        None => Ok(End::Close),
        Some((_, Stop::HangUp)) => Ok(End::Abort),
        Some((_, Stop::Reset)) => {
            connection.get_ref().tcp().set_zero_linger()?;
            Ok(End::Abort)
        }
        Some((_, Stop::Stall)) => {
            wait_for_hang_up(connection).await;
            Ok(End::Close)
        }
    }
}

async fn send_endless_headers(connection: &mut Connection, head: String) -> io::Result<End> {
    connection.write_all(head.as_bytes()).await?;
    let padding = "p".repeat(1000);
    for number in 0..ENDLESS_LIMIT / padding.len() {
        connection.write_all(format!("x-padding-{number}: {padding}\r\n").as_bytes()).await?;
    }
    Ok(End::Close)
}

/// Reads and discards until the client hangs up.
async fn wait_for_hang_up(connection: &mut Connection) {
    let mut sink = [0; 1024];
    while matches!(connection.read(&mut sink).await, Ok(1..)) {}
}
