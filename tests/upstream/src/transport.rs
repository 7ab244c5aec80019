//! The connection below HTTP.

use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::TcpStream;

/// Both directions of a connection, encrypted or not.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

pub(crate) type Connection = BufReader<Box<dyn Transport>>;
