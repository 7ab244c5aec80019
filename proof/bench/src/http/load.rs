//! Many connections, each sending one request after another.
//!
//! Plain sockets: the load shares the machine with the program it measures, and pgbench, the comparison, is
//! as light. Every answer is read whole and its status checked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::api::{Api, TOKEN, submission};
use crate::error::{BenchError, Result, io};

/// Results of one address under load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answers {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

/// New recordings, one after another.
pub(super) async fn submissions(api: &Api, connections: usize, seconds: u32) -> Result<Answers> {
    let number = AtomicU64::new(1);
    let head = head(api, "POST", "/api/lectures/download");
    asked(api, connections, seconds, "201", || {
        let body = submission(number.fetch_add(1, Ordering::Relaxed)).to_string();
        format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    })
    .await
}

/// One lecture's status.
pub(super) async fn looks(api: &Api, lecture: &str, connections: usize, seconds: u32) -> Result<Answers> {
    let request = head(api, "GET", &format!("/api/lectures/{lecture}/status")) + "\r\n";
    asked(api, connections, seconds, "200", || request.clone()).await
}

fn head(api: &Api, method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\n", api.address)
}

async fn asked(
    api: &Api,
    connections: usize,
    seconds: u32,
    expected: &str,
    request: impl Fn() -> String,
) -> Result<Answers> {
    let began = Instant::now();
    let until = began + Duration::from_secs(u64::from(seconds));
    let connection = async || -> Result<Vec<f64>> {
        let mut stream = TcpStream::connect(&api.address).await.map_err(io("connect to the API"))?;
        stream.set_nodelay(true).map_err(io("send at once"))?;
        let (mut took, mut buffer) = (Vec::new(), Vec::new());
        while Instant::now() < until {
            let sent = Instant::now();
            stream.write_all(request().as_bytes()).await.map_err(io("ask the API"))?;
            let status = answer(&mut stream, &mut buffer).await?;
            if status != expected {
                return Err(BenchError::Peer(format!("an answer of {status}, expected {expected}")));
            }
            took.push(sent.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(took)
    };
    let all = futures::future::try_join_all((0..connections).map(|_| connection())).await?;
    let elapsed = began.elapsed().as_secs_f64();
    let mut took: Vec<f64> = all.into_iter().flatten().collect();
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Ok(Answers { per_second: took.len() as f64 / elapsed, p50_ms: at(0.5), p99_ms: at(0.99) })
}

/// Reads one answer to its end and returns its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<String> {
    let odd = || BenchError::Peer("an answer that is no HTTP of this API's".to_owned());
    buffer.clear();
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.trim().parse().ok()).ok_or_else(odd)?;
            if buffer.len() >= end + 4 + length {
                return head.split(' ').nth(1).map(str::to_owned).ok_or_else(odd);
            }
        }
        if stream.read_buf(buffer).await.map_err(io("read an answer"))? == 0 {
            return Err(odd());
        }
    }
}
