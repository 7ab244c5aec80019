//! The [`Engine`] of a speech server, whatever protocol it speaks.

use std::sync::Arc;

use bedel_media::MediaTools;
use futures::future::BoxFuture;

use super::client::{ClientError, Server};
use super::settings::RemoteSettings;
use super::{openai, task};
use crate::control::Control;
use crate::engine::{AudioChunk, Engine, EngineInfo};
use crate::engine_error::EngineError;
use crate::raw_transcript::RawTranscript;

/// How a server is asked.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    OpenAi,
    Task,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Task => "task",
        }
    }
}

/// A speech server.
#[derive(Debug, Clone)]
pub struct RemoteEngine {
    protocol: Protocol,
    server: Server,
    media: MediaTools,
}

impl RemoteEngine {
    /// An OpenAI-compatible server at `settings.url`, which usually ends in `/v1`. The model must know the
    /// response format `verbose_json`, as whisper-1 does. The process must have installed a rustls provider
    /// before.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn openai(settings: RemoteSettings, media: MediaTools) -> Result<Self, ClientError> {
        Ok(Self { protocol: Protocol::OpenAi, server: Server::new(settings)?, media })
    }

    /// A task server at `settings.url`. The process must have installed a rustls provider before.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn task(settings: RemoteSettings, media: MediaTools) -> Result<Self, ClientError> {
        Ok(Self { protocol: Protocol::Task, server: Server::new(settings)?, media })
    }
}

impl Engine for RemoteEngine {
    fn describe(&self) -> EngineInfo {
        let model = self.server.settings().model.clone();
        EngineInfo { engine: self.protocol.name().to_owned(), model }
    }

    /// Task servers have one model.
    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
        match self.protocol {
            Protocol::OpenAi => {
                Some(Arc::new(Self { server: self.server.with_model(model), ..self.clone() }))
            }
            Protocol::Task => None,
        }
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        Ok(self.server.fingerprint(self.protocol.name()))
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
        let Self { protocol, server, media } = self;
        match protocol {
            Protocol::OpenAi => Box::pin(openai::transcribe(server, media, chunk, control)),
            Protocol::Task => Box::pin(task::transcribe(server, media, chunk, control)),
        }
    }
}
