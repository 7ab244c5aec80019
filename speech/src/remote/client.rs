//! One request to a speech server, one answer.

use std::sync::Arc;
use std::time::Duration;

use bedel_fetch::{CONNECT_TIMEOUT, FetchError, FetchPolicy, Fetcher, host, retry_after};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use super::error::RemoteError;
use super::settings::{ApiKey, RemoteSettings};
use crate::control::Control;
use crate::engine_error::EngineError;
use crate::payload::json;

/// Largest answer read, in bytes. Ten minutes of speech with every token take about a million.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Longest excerpt of a server's answer in an error, in characters.
const MAX_DETAIL: usize = 200;

/// Outgoing HTTP cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the client of the speech server cannot be made: {0}")]
pub struct ClientError(#[from] FetchError);

/// One speech server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Server {
    fetcher: Fetcher,
    settings: Arc<RemoteSettings>,
}

impl Server {
    /// The process must have installed a rustls provider before.
    pub(super) fn new(settings: RemoteSettings) -> Result<Self, ClientError> {
        let fetcher = Fetcher::new(FetchPolicy {
            extra_ca: settings.extra_ca.clone(),
            // A new connection costs nothing beside minutes of work. One that the server has just closed costs an attempt.
            idle_connections: 0,
            ..FetchPolicy::operator()
        })?;
        // Checks the address once, for all requests below it.
        drop(fetcher.request(Method::GET, &settings.url)?);
        Ok(Self { fetcher, settings: Arc::new(settings) })
    }

    pub(super) fn settings(&self) -> &RemoteSettings {
        &self.settings
    }

    pub(super) fn with_model(&self, model: &str) -> Self {
        let settings = RemoteSettings { model: model.to_owned(), ..(*self.settings).clone() };
        Self { fetcher: self.fetcher.clone(), settings: Arc::new(settings) }
    }

    pub(super) fn host(&self) -> String {
        host(&self.settings.url)
    }

    /// [`Engine::fingerprint`](crate::Engine::fingerprint) of an engine there. The model's own bytes are out of reach.
    pub(super) fn fingerprint(&self, engine: &str) -> String {
        let RemoteSettings { url, model, language, .. } = &*self.settings;
        format!("{engine} {url} {model} {}", language.as_deref().unwrap_or("auto"))
    }

    /// A request to a path below the server's address. Each segment is escaped.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.settings.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.fetcher.request(method, &url).expect("the server's address was checked by `new`");
        match &self.settings.key {
            Some(ApiKey(key)) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        }
    }

    /// Pings the server. Any answer will do.
    pub(super) async fn ping(&self) -> Result<(), EngineError> {
        match timeout(CONNECT_TIMEOUT, self.request(Method::GET, &[]).send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error).into()),
            Err(_) => {
                Err(RemoteError::TimedOut { host: self.host(), seconds: CONNECT_TIMEOUT.as_secs() }.into())
            }
        }
    }

    /// Sends a request and reads the answer, until the time is up or the control cancels.
    pub(super) async fn ask(
        &self,
        request: RequestBuilder,
        uploaded: u64,
        time: Duration,
        control: &Control,
    ) -> Result<Value, EngineError> {
        tokio::select! {
            biased;
            () = control.cancelled() => Err(EngineError::Cancelled),
            answer = timeout(time, self.answer(request, uploaded)) => match answer {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(RemoteError::TimedOut { host: self.host(), seconds: time.as_secs() }.into()),
            },
        }
    }

    async fn answer(&self, request: RequestBuilder, uploaded: u64) -> Result<Value, RemoteError> {
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let (status, after) = (response.status(), retry_after::delay(response.headers()));
        let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        let is_page = kind.starts_with(b"text/html");
        let body = self.body(response).await;
        if !status.is_success() || is_page {
            // The status says more than the body's error.
            return Err(self.refused(status, after, is_page, &body.unwrap_or_default(), uploaded));
        }
        let body = body?;
        // No news of a task, as some servers write it.
        if body.is_empty() && matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(Value::Null);
        }
        let read = tokio::task::spawn_blocking(move || json::read(&body).ok_or(body));
        match read.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(body)) => Err(self.garbled(&body)),
            Err(error) => Err(self.garbled(error.to_string().as_bytes())),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, RemoteError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                let detail = format!("it is larger than {} MiB", MAX_ANSWER_BYTES / (1024 * 1024));
                return Err(self.garbled(detail.as_bytes()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn refused(
        &self,
        status: StatusCode,
        after: Option<Duration>,
        is_page: bool,
        body: &[u8],
        uploaded: u64,
    ) -> RemoteError {
        let (host, detail) = (self.host(), self.detail(body));
        let code = status.as_u16();
        match code {
            // 409: the first request with the same key is still in progress.
            409 | 429 | 503 => RemoteError::Busy { host, status: code, after, detail },
            502 | 504 | 520..=524 => {
                RemoteError::BrokeOff { host, reason: format!("status {code}"), calls: 1 }
            }
            401..=403 => RemoteError::NotAllowed { host, status: code },
            413 => RemoteError::TooLarge { host, bytes: uploaded },
            500.. => RemoteError::Failed { host, status: code, detail },
            400 | 408 | 415 | 422 if !is_page => RemoteError::Failed { host, status: code, detail },
            _ => RemoteError::NotThere { host, status: code, detail },
        }
    }

    pub(super) fn garbled(&self, body: &[u8]) -> RemoteError {
        RemoteError::Garbled { host: self.host(), detail: self.detail(body) }
    }

    /// An answer without a transcript.
    pub(super) fn without_transcript(&self, answer: &Value) -> RemoteError {
        self.garbled(answer.to_string().as_bytes())
    }

    fn broken(&self, error: &reqwest::Error) -> RemoteError {
        let host = self.host();
        if error.is_connect() {
            return RemoteError::Unreachable { host };
        }
        let is_cut = error.is_body() || error.is_decode();
        let reason = if is_cut { "the answer was cut off" } else { "the connection broke" };
        RemoteError::BrokeOff { host, reason: reason.to_owned(), calls: 1 }
    }

    /// The start of a server's answer, for the log: one line, without the key.
    pub(super) fn detail(&self, answer: &[u8]) -> String {
        let text = String::from_utf8_lossy(answer);
        let text = match &self.settings.key {
            Some(key) => key.hidden_in(&text),
            None => text.into_owned(),
        };
        let text = text.trim_start().chars().take(MAX_DETAIL);
        text.map(|character| if character.is_control() { ' ' } else { character }).collect()
    }
}
