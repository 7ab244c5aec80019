//! Servers that speak as OpenAI's does: `POST {url}/audio/transcriptions`, answered when all is transcribed.

use std::sync::Arc;

use bedel_media::MediaTools;
use futures::future::BoxFuture;
use reqwest::Method;

use super::RemoteSettings;
use super::client::{ClientError, Server};
use super::paid_calls::{self, Call};
use super::upload::Upload;
use crate::engine::{AudioChunk, Control, Engine, EngineError, EngineInfo, PaidCall, RawTranscript};

/// An OpenAI-compatible server. The model has to know the response format `verbose_json`, as whisper-1 does.
#[derive(Debug, Clone)]
pub struct OpenAi {
    server: Server,
    media: MediaTools,
}

impl OpenAi {
    /// The server at `settings.url`, which usually ends in `/v1`. The process must have installed a rustls provider before.
    ///
    /// # Errors
    /// Where outgoing HTTP cannot be set up.
    pub fn new(settings: RemoteSettings, media: MediaTools) -> Result<Self, ClientError> {
        Ok(Self { server: Server::new(settings)?, media })
    }

    async fn ask(&self, chunk: AudioChunk<'_>, control: &Control) -> Result<RawTranscript, EngineError> {
        let settings = self.server.settings();
        let upload = Upload::of(&chunk, &self.server, &self.media).await?;
        let uploaded = upload.bytes();
        let form = upload.form("file", &chunk, settings);
        let form = form.text("model", settings.model.clone()).text("response_format", "verbose_json");
        let make = |order: &PaidCall| {
            let request = self.server.request(Method::POST, &["audio", "transcriptions"]);
            // A server that knows it answers a request that it has seen as it did before.
            request.header("Idempotency-Key", order.idempotency_key()).multipart(form)
        };
        let call = Call { make, uploaded, time: settings.time_for(chunk.samples.len()) };
        let (answer, order) = paid_calls::make_call(&self.server, &chunk, call, control).await?;
        control.report(1.0);
        paid_calls::read_transcript(&self.server, &chunk, order, answer).await
    }
}

impl Engine for OpenAi {
    fn describe(&self) -> EngineInfo {
        EngineInfo { engine: "openai".to_owned(), model: self.server.settings().model.clone() }
    }

    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
        Some(Arc::new(Self { server: self.server.with_model(model), media: self.media.clone() }))
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        Ok(self.server.fingerprint("openai"))
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn max_samples(&self) -> u64 {
        self.server.settings().max_samples()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(self.server.ping())
    }

    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(self.ask(chunk, control))
    }
}
