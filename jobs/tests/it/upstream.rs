//! A server that misbehaves on demand: an HTTP/1.1 server on loopback, written on bare sockets so that it can break off,
//! fall silent, drip, and announce what it does not send.
//!
//! Each path has a script of replies; each request takes the next one, and the last one stays.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What a request brought.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// One answer, and how it is delivered.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// `None` leaves the length out, and the end of the connection ends the body.
    announced: Option<usize>,
    pace: Pace,
}

#[derive(Debug, Clone, Copy)]
enum Pace {
    AtOnce,
    /// Closes the connection after this many bytes of the body.
    CutAt(usize),
    /// Sends nothing more after this many bytes of the body, and keeps the connection.
    StallAt(usize),
    /// Not even a status line.
    Silent,
    /// So many bytes at a time, with a pause after each.
    Drip(usize, Duration),
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, announced: Some(body.len()), body, pace: Pace::AtOnce }
    }

    /// A media file, whole.
    pub fn media(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "video/mp4", body)
    }

    pub fn json(body: &str) -> Self {
        Self::new(200, "application/json; charset=utf-8", body)
    }

    pub fn html(status: u16, body: &str) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    /// What a rejected sign-in ends on: a page, with status 200.
    pub fn login_page() -> Self {
        Self::html(200, "<!DOCTYPE html><title>Panopto - Sign in</title><input type=\"password\">")
    }

    pub fn redirect(to: &str) -> Self {
        Self::html(302, "<html>moved</html>").header("location", to)
    }

    pub fn too_many_requests(retry_after: &str) -> Self {
        Self::html(429, "slow down").header("retry-after", retry_after)
    }

    /// Accepts the request and never answers.
    pub fn silent() -> Self {
        Self { pace: Pace::Silent, ..Self::new(200, "video/mp4", "") }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces everything, sends this much and hangs up.
    pub fn cut_at(self, bytes: usize) -> Self {
        Self { pace: Pace::CutAt(bytes), ..self }
    }

    /// Announces everything, sends half and hangs up.
    pub fn cut_half_way(self) -> Self {
        let half = self.body.len() / 2;
        self.cut_at(half)
    }

    /// Announces everything, sends this much and falls silent.
    pub fn stalled_at(self, bytes: usize) -> Self {
        Self { pace: Pace::StallAt(bytes), ..self }
    }

    pub fn dripping(self, bytes: usize, pause: Duration) -> Self {
        Self { pace: Pace::Drip(bytes, pause), ..self }
    }

    /// Announces this length, whatever the body has.
    pub fn announcing(self, length: usize) -> Self {
        Self { announced: Some(length), ..self }
    }

    /// Announces no length.
    pub fn without_length(self) -> Self {
        Self { announced: None, ..self }
    }

    async fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        if matches!(self.pace, Pace::Silent) {
            return std::future::pending().await;
        }
        let mut head = format!("HTTP/1.1 {} Scripted\r\nconnection: close\r\n", self.status);
        if let Some(length) = self.announced {
            head += &format!("content-length: {length}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        stream.write_all(head.as_bytes()).await?;
        match self.pace {
            Pace::AtOnce | Pace::Silent => stream.write_all(&self.body).await?,
            Pace::CutAt(bytes) => stream.write_all(&self.body[..bytes]).await?,
            Pace::StallAt(bytes) => {
                stream.write_all(&self.body[..bytes]).await?;
                stream.flush().await?;
                return std::future::pending().await;
            }
            Pace::Drip(bytes, pause) => {
                for piece in self.body.chunks(bytes) {
                    stream.write_all(piece).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
            }
        }
        stream.shutdown().await
    }
}

/// Answers of `DeliveryInfo.aspx`, as Panopto gives them: always with status 200.
pub mod delivery_info {
    use super::Reply;

    pub const PATH: &str = "/Panopto/Pages/Viewer/DeliveryInfo.aspx";

    /// A finished recording with a podcast and plain streams.
    pub fn ready(podcast_url: &str, title: &str) -> Reply {
        Reply::json(
            &serde_json::json!({
                "SessionId": "7b0a5b0e-0000-4000-8000-0000000000aa",
                "Delivery": {
                    "SessionName": title,
                    "Duration": 3.0,
                    "PodcastStreams": [{"StreamUrl": podcast_url, "ViewerMediaFileTypeName": "mp4"}],
                    "Streams": [{"StreamUrl": null, "StreamHttpUrl": "https://cdn.example/slides.mp4", "Tag": "OBJECT"}],
                    "IsAudioPodcastEncodeComplete": true,
                    "IsPodcastEncodeComplete": true,
                    "IsViewerEncodeComplete": true,
                }
            })
            .to_string(),
        )
    }

    /// Recorded, and still being encoded.
    pub fn encoding() -> Reply {
        Reply::json(
            r#"{"Delivery":{"SessionName":"Soon","PodcastStreams":[{"StreamUrl":null}],"Streams":[],
            "IsPodcastEncodeComplete":false,"IsViewerEncodeComplete":false}}"#,
        )
    }

    pub fn login_required() -> Reply {
        Reply::json(
            r#"{"ErrorCode":2,"ErrorMessage":"Access is denied. <a href=\"/x?token=secret\">Log in</a>"}"#,
        )
    }

    pub fn deleted() -> Reply {
        Reply::json(
            r#"{"ErrorCode":1,"ErrorMessage":"This session isn't available. It may have been deleted.<br><a>See</a>"}"#,
        )
    }

    pub fn unknown_error() -> Reply {
        Reply::json(
            r#"{"ErrorCode":9,"ErrorMessage":"<b>Overloaded</b>, see https://x.example/?token=secret"}"#,
        )
    }

    /// An answer that breaks off.
    pub fn unreadable() -> Reply {
        Reply::json(r#"{"Delivery":{"SessionName":"#)
    }
}

type Scripts = Arc<Mutex<HashMap<String, VecDeque<Reply>>>>;
type Log = Arc<Mutex<Vec<Request>>>;

/// The server. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Upstream {
    address: SocketAddr,
    scripts: Scripts,
    log: Log,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let upstream = Self { address, scripts: Scripts::default(), log: Log::default() };
        let served = upstream.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served = served.clone();
                tokio::spawn(async move {
                    // A client that goes away is the client's business.
                    let _ = served.serve(stream).await;
                });
            }
        });
        upstream
    }

    /// `127.0.0.1:PORT`, as the configuration lists it.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Scripts a path (without a query).
    pub fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.insert(path.to_owned(), replies.into_iter().collect());
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn next_reply(&self, target: &str) -> Reply {
        let path = target.split('?').next().unwrap_or_default();
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        match scripts.get_mut(path) {
            Some(script) if script.len() > 1 => script.pop_front().expect("more than one"),
            Some(script) => script.front().cloned().expect("a script has replies"),
            None => Reply::html(404, "<html>no such path"),
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let request = read_request(&mut stream).await?;
        let reply = self.next_reply(&request.target);
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        reply.send(&mut stream).await
    }
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(reader.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    Ok(Request {
        method: first.next().unwrap_or_default(),
        target: first.next().unwrap_or_default(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
