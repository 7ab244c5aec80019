//! A private `bedel api`, and its client.

use std::path::Path;

use bytes::Bytes;
use futures::stream;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client};
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::{Duration, Instant, sleep};

use crate::error::{BenchError, Result, io, peer};
use crate::program::{PATIENCE, Program, memory, reset_peak};

/// The one user's token and id.
pub(super) const TOKEN: &str = "bench";
const USER: &str = "00000000-0000-4000-8000-000000000001";
pub(super) const COURSE: &str = "00000000-0000-4000-8000-00000000000c";

/// A running API; dropping it stops the process.
pub(super) struct Api {
    child: Child,
    _program: Program,
    /// `host:port`.
    pub(super) address: String,
    client: Client,
}

impl Api {
    /// Migrates the database and serves.
    pub(super) async fn start(bedel: &Path, url: &str) -> Result<Self> {
        let program = Program::new(bedel, url).await?;
        let file = program.directory().join("address");
        let mut command = program.command(&["api", "--listen", "127.0.0.1:0"]);
        command.env("BEDEL_TOKENS", format!("{TOKEN}={USER}")).env("BEDEL_SUBMISSIONS_PER_MINUTE", "0");
        let child = command.env("BEDEL_ADDRESS_FILE", &file).spawn().map_err(io("start bedel api"))?;
        let began = Instant::now();
        let address = loop {
            if let Ok(address) = std::fs::read_to_string(&file) {
                break address;
            }
            if began.elapsed() > PATIENCE {
                return Err(BenchError::Peer("bedel api does not listen".to_owned()));
            }
            sleep(Duration::from_millis(50)).await;
        };
        let client = Client::builder().no_proxy().build().map_err(peer)?;
        Ok(Self { child, _program: program, address, client })
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.map_err(io("stop bedel api"))
    }

    /// A request with the user's token.
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(TOKEN)
    }

    /// Submits a recording and returns the lecture's id.
    pub(super) async fn submit_one(&self) -> Result<String> {
        let request = self.request(reqwest::Method::POST, "/api/lectures/download").json(&submission(0));
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(peer)?;
        let body: Value = answer.json().await.map_err(peer)?;
        Ok(body["lecture_id"].as_str().unwrap_or_default().to_owned())
    }

    /// Uploads this many bytes and returns the largest growth of the process meanwhile.
    pub(super) async fn memory_of_an_upload(&self, bytes: usize) -> Result<f64> {
        let pid = self.child.id().unwrap_or_default();
        reset_peak(pid)?;
        let before = memory(pid, "VmRSS:")?;
        let head = Bytes::from_static(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2mp41\0\0\0\0");
        let piece = Bytes::from(vec![0x5a_u8; 64 * 1024]);
        let rest = (bytes - head.len()) / piece.len();
        let pieces = std::iter::once(head).chain(std::iter::repeat_n(piece, rest));
        let body = Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::convert::Infallible>)));
        let audio = Part::stream(body).file_name("x.m4a").mime_str("audio/mp4").map_err(peer)?;
        let metadata = json!({ "session_id": session(u64::MAX), "course_id": COURSE });
        let form = Form::new().part("audio", audio).text("metadata", metadata.to_string());
        let answer = self.request(reqwest::Method::POST, "/api/lectures/audio").multipart(form).send().await;
        answer.and_then(reqwest::Response::error_for_status).map_err(peer)?;
        Ok(memory(pid, "VmHWM:")? - before)
    }
}

/// The submission of another recording for each number.
pub(super) fn submission(number: u64) -> Value {
    let page = format!("https://bench.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={}", session(number));
    json!({ "course_id": COURSE, "panopto_url": page, "title": "A lecture" })
}

fn session(number: u64) -> String {
    let digits = format!("{number:016x}");
    format!("00000000-0000-4000-{}-{}", &digits[..4], &digits[4..])
}
