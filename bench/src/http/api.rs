//! A `bedel api` of its own, and what one client does with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::ended_badly;
use crate::error::{BenchError, Result, io, peer};

/// The one user's token and id.
pub(super) const TOKEN: &str = "bench";
const USER: &str = "00000000-0000-4000-8000-000000000001";
pub(super) const COURSE: &str = "00000000-0000-4000-8000-00000000000c";

/// A running API; it stops when this is dropped.
pub(super) struct Api {
    child: Child,
    directory: PathBuf,
    /// `host:port`.
    pub(super) address: String,
    client: Client,
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.directory) {
            tracing::error!(%error, directory = %self.directory.display(), "not removed");
        }
    }
}

impl Api {
    /// Migrates the database and serves.
    pub(super) async fn start(bedel: &Path, url: &str) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("bedel-bench-api-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(io("make a directory"))?;
        let program = |arguments: &[&str]| {
            let mut command = Command::new(bedel);
            command.args(arguments).current_dir(&directory).env("DATABASE_URL", url).kill_on_drop(true);
            command.env("BEDEL_TOKENS", format!("{TOKEN}={USER}")).env("BEDEL_SUBMISSIONS_PER_MINUTE", "0");
            command.env("BEDEL_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
            command
        };
        let migrated = program(&["migrate"]).output().await.map_err(io("start bedel migrate"))?;
        if !migrated.status.success() {
            return Err(ended_badly("bedel migrate", &migrated));
        }
        let file = directory.join("address");
        let mut command = program(&["api", "--listen", "127.0.0.1:0"]);
        let child = command.env("BEDEL_ADDRESS_FILE", &file).spawn().map_err(io("start bedel api"))?;
        let began = Instant::now();
        let address = loop {
            if let Ok(address) = std::fs::read_to_string(&file) {
                break address;
            }
            if began.elapsed() > Duration::from_secs(30) {
                return Err(BenchError::Peer("bedel api does not listen".to_owned()));
            }
            sleep(Duration::from_millis(50)).await;
        };
        let client = Client::builder().no_proxy().build().map_err(peer)?;
        Ok(Self { child, directory, address, client })
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        self.child.kill().await.map_err(io("stop bedel api"))
    }

    /// A request with the user's token.
    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(TOKEN)
    }

    /// Hands a recording in and returns the lecture's id.
    pub(super) async fn submit_one(&self) -> Result<String> {
        let request = self.request(reqwest::Method::POST, "/api/lectures/download").json(&submission(0));
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).map_err(peer)?;
        let body: Value = answer.json().await.map_err(peer)?;
        Ok(body["lecture_id"].as_str().unwrap_or_default().to_owned())
    }

    /// Uploads so many bytes and tells by how many the process grew meanwhile, at most.
    pub(super) async fn memory_of_an_upload(&self, bytes: usize) -> Result<f64> {
        let pid = self.child.id().unwrap_or_default();
        // Sets the highest resident memory to what it is now (proc(5)).
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").map_err(io("reset the memory's peak"))?;
        let before = kilobytes(pid, "VmRSS:")?;
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
        Ok((kilobytes(pid, "VmHWM:")? - before) * 1024.0)
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

fn kilobytes(pid: u32, key: &str) -> Result<f64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(io("read a process's memory"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    value.trim().trim_end_matches("kB").trim().parse().map_err(peer)
}
