//! What a student's browser extension does: submit, look, read.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

use crate::Trouble;
use crate::bedel::Reach;

/// The API as one user.
pub struct Api<'a> {
    client: Client,
    reach: &'a Reach,
}

/// What a submission is answered with.
#[derive(Deserialize)]
pub struct Submitted {
    /// The lecture.
    pub lecture_id: Uuid,
    /// Whether it is new.
    pub created: bool,
}

/// Where a lecture is.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// `pending`, `downloading`, `completed` or `failed`.
    pub status: String,
    /// Why the last attempt or the lecture failed.
    pub error_message: Option<String>,
    /// Once it is known.
    pub duration_seconds: Option<i32>,
}

/// The stored transcript, in the parts shown here.
#[derive(Deserialize)]
pub struct Transcript {
    /// All of it.
    pub text: String,
    /// The model that heard it.
    pub model: String,
}

/// A client for the loopback interface: no proxy, and no wait for ever.
pub fn client() -> Result<Client, Trouble> {
    // Only the first call in a process installs it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?)
}

impl<'a> Api<'a> {
    /// Speaks as the user of `reach`'s token.
    pub fn new(reach: &'a Reach) -> Result<Self, Trouble> {
        Ok(Self { client: client()?, reach })
    }

    /// Submits a viewer's address, and what a browser that is signed in plays there, where it is known: the rest the server
    /// finds out by itself.
    pub async fn submit(&self, viewer_url: &str, stream_url: Option<&str>) -> Result<Submitted, Trouble> {
        let url = format!("{}/api/lectures/download", self.reach.api_url);
        let body =
            json!({ "course_id": Uuid::new_v4(), "panopto_url": viewer_url, "stream_url": stream_url });
        self.answer(self.client.post(url).json(&body)).await
    }

    /// Where the lecture is.
    pub async fn status(&self, lecture: Uuid) -> Result<Status, Trouble> {
        self.answer(self.client.get(format!("{}/api/lectures/{lecture}/status", self.reach.api_url))).await
    }

    /// The stored transcript.
    pub async fn transcript(&self, lecture: Uuid) -> Result<Transcript, Trouble> {
        self.answer(self.client.get(format!("{}/api/lectures/{lecture}/transcript", self.reach.api_url)))
            .await
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Trouble> {
        let response = request.bearer_auth(&self.reach.token).send().await?;
        let (status, url) = (response.status(), response.url().path().to_owned());
        let body = response.bytes().await?;
        if !status.is_success() {
            return Err(format!("{url}: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        serde_json::from_slice(&body).map_err(|error| format!("{url}: unexpected answer: {error}").into())
    }
}
