//! The API client, as in a student's browser extension: submit, poll, read.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use crate::bedel::DevInfo;
use crate::error::DemoError;

/// The API as one user.
pub struct Api<'a> {
    client: Client,
    dev: &'a DevInfo,
}

/// The answer to a submission.
#[derive(Deserialize)]
pub struct Submitted {
    /// The lecture's id.
    pub lecture_id: Uuid,
    /// Whether the lecture is new.
    pub created: bool,
}

/// A lecture's status.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// `pending`, `downloading`, `completed` or `failed`.
    pub status: String,
    /// Why the last attempt or the lecture failed.
    pub error_message: Option<String>,
    /// Length in seconds, once known.
    pub duration_seconds: Option<i32>,
}

/// The parts of the stored transcript that the demo prints.
#[derive(Deserialize)]
pub struct Transcript {
    /// The whole text.
    pub text: String,
    /// The speech model.
    pub model: String,
}

/// A client for the loopback interface: no proxy, and a timeout.
pub fn client() -> Result<Client, DemoError> {
    // Only the first call in a process succeeds.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?)
}

impl<'a> Api<'a> {
    /// Sends requests with the token in `dev`.
    pub fn new(dev: &'a DevInfo) -> Result<Self, DemoError> {
        Ok(Self { client: client()?, dev })
    }

    /// Submits a viewer's URL and, if known, the stream URL that a signed-in browser plays there. Without it
    /// the server finds the stream itself.
    pub async fn submit(&self, viewer_url: &str, stream_url: Option<&str>) -> Result<Submitted, DemoError> {
        let url = format!("{}/api/lectures/download", self.dev.api_url);
        let body =
            json!({ "course_id": Uuid::new_v4(), "panopto_url": viewer_url, "stream_url": stream_url });
        self.send(self.client.post(url).json(&body)).await
    }

    /// The lecture's status.
    pub async fn status(&self, lecture: Uuid) -> Result<Status, DemoError> {
        self.send(self.client.get(format!("{}/api/lectures/{lecture}/status", self.dev.api_url))).await
    }

    /// The stored transcript.
    pub async fn transcript(&self, lecture: Uuid) -> Result<Transcript, DemoError> {
        self.send(self.client.get(format!("{}/api/lectures/{lecture}/transcript", self.dev.api_url))).await
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, DemoError> {
        let response = request.bearer_auth(&self.dev.token).send().await?;
        let (status, url) = (response.status(), response.url().path().to_owned());
        let body = response.bytes().await?;
        if !status.is_success() {
            return Err(format!("{url}: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url}: unexpected answer: {error}").into())
    }
}
