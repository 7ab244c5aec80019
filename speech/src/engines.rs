//! The engines of a process, and the choice a job can make among them.

use std::sync::Arc;

use bedel_queue::JobError;
use serde::{Deserialize, Serialize};

use super::engine::Engine;

/// A kind of engine, as configuration and jobs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Whisper in the worker's process.
    Embedded,
    /// A server with OpenAI's API.
    Openai,
    /// A server that takes a recording as a task and is polled for the result.
    Task,
}

impl EngineKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Embedded, Self::Openai, Self::Task];

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in configuration and jobs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Openai => "openai",
            Self::Task => "task",
        }
    }
}

/// The engine and model that a job asks for instead of its worker's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Choice {
    /// The kind of engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// The model, by the engine's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The engines of a process. The first is the default.
#[derive(Debug, Clone)]
pub struct Engines {
    engines: Vec<(EngineKind, Arc<dyn Engine>)>,
}

/// This process does not have the engine a job asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchEngine {
    /// There is no engine of that kind.
    #[error("this worker has no engine {}; it has {available}", kind.name())]
    Kind {
        /// The kind requested.
        kind: EngineKind,
        /// The kinds available.
        available: String,
    },
    /// The engine has only one model, or the model is no name.
    #[error("the engine {} cannot use another model of this name: leave out the model, or choose another engine", kind.name())]
    Model {
        /// The kind requested.
        kind: EngineKind,
    },
}

impl From<NoSuchEngine> for JobError {
    fn from(error: NoSuchEngine) -> Self {
        let NoSuchEngine::Kind { kind, .. } = error else {
            return Self::fatal("engine-choice", error.to_string());
        };
        tracing::warn!(%error, "no transcript");
        let name = kind.name();
        // Another worker may have it.
        JobError::host_fault(
            "engine-missing",
            format!(
                "This lecture needs the engine {name}, which this worker does not have. It continues on a worker that has it; if \
                 it ends as failed, tell the operators."
            ),
        )
    }
}

impl Engines {
    /// A set with one engine, the default.
    #[must_use]
    pub fn new(kind: EngineKind, engine: Arc<dyn Engine>) -> Self {
        Self { engines: vec![(kind, engine)] }
    }

    /// Adds an engine for jobs that ask for it.
    #[must_use]
    pub fn with(mut self, kind: EngineKind, engine: Arc<dyn Engine>) -> Self {
        self.engines.push((kind, engine));
        self
    }

    /// The names of the kinds, the default first.
    #[must_use]
    pub fn names(&self) -> String {
        self.engines.iter().map(|(kind, _)| kind.name()).collect::<Vec<_>>().join(", ")
    }

    /// All of them, the default first.
    pub fn iter(&self) -> impl Iterator<Item = (EngineKind, &Arc<dyn Engine>)> {
        self.engines.iter().map(|(kind, engine)| (*kind, engine))
    }

    /// The engine for jobs that do not choose one.
    #[must_use]
    pub fn default_engine(&self) -> &Arc<dyn Engine> {
        &self.engines[0].1
    }

    /// The engine and model that a job asks for. An unknown model fails when used.
    ///
    /// # Errors
    /// If there is no engine of that kind, or it cannot use a model of that name.
    pub fn choose(&self, choice: &Choice) -> Result<Arc<dyn Engine>, NoSuchEngine> {
        let wanted = choice.engine.unwrap_or(self.engines[0].0);
        let found = self.engines.iter().find(|(kind, _)| *kind == wanted);
        let (kind, engine) =
            found.ok_or_else(|| NoSuchEngine::Kind { kind: wanted, available: self.names() })?;
        let Some(model) = &choice.model else { return Ok(Arc::clone(engine)) };
        engine.with_model(model).ok_or_else(|| match choice.engine {
            Some(kind) => NoSuchEngine::Model { kind },
            // Another worker's default engine may have the model.
            None => NoSuchEngine::Kind { kind: *kind, available: self.names() },
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::super::control::Control;
    use super::super::engine::{AudioChunk, EngineInfo};
    use super::super::engine_error::EngineError;
    use super::super::raw_transcript::RawTranscript;
    use super::*;

    #[derive(Debug)]
    struct Named(&'static str, String);

    impl Engine for Named {
        fn describe(&self) -> EngineInfo {
            EngineInfo { engine: self.0.to_owned(), model: self.1.clone() }
        }

        fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
            (self.0 != "task").then(|| Arc::new(Self(self.0, model.to_owned())) as _)
        }

        fn fingerprint(&self) -> Result<String, EngineError> {
            not_implemented()
        }

        fn transcribe<'a>(
            &'a self,
            _: AudioChunk<'a>,
            _: &'a Control,
        ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
            Box::pin(async { not_implemented() })
        }
    }

    fn not_implemented<T>() -> Result<T, EngineError> {
        Err(EngineError::Failed("not implemented".to_owned()))
    }

    #[test]
    fn a_job_gets_the_engine_and_model_it_asks_for() {
        let engine = |name, model: &str| Arc::new(Named(name, model.to_owned()));
        let engines = Engines::new(EngineKind::Embedded, engine("whisper.cpp", "tiny.en"))
            .with(EngineKind::Openai, engine("openai", "whisper-1"));
        assert_eq!(engines.names(), "embedded, openai");
        for (choice, engine, model) in [
            ("{}", "whisper.cpp", "tiny.en"),
            (r#"{"model":"base"}"#, "whisper.cpp", "base"),
            (r#"{"engine":"openai"}"#, "openai", "whisper-1"),
            (r#"{"engine":"openai","model":"large-v3"}"#, "openai", "large-v3"),
        ] {
            let chosen = engines.choose(&serde_json::from_str(choice).unwrap()).unwrap().describe();
            assert_eq!((chosen.engine.as_str(), chosen.model.as_str()), (engine, model), "{choice}");
        }
        let tasks = Choice { engine: Some(EngineKind::Task), model: None };
        let missing = engines.choose(&tasks).unwrap_err();
        assert!(missing.to_string().contains("embedded, openai"), "{missing}");
        let missing = JobError::from(missing);
        assert_eq!((missing.class(), missing.wait_delay().is_some()), ("engine-missing", true));
        let engines = engines.with(EngineKind::Task, engine("task", "its own"));
        engines.choose(&tasks).unwrap();
        let fixed = engines.choose(&Choice { model: Some("large".to_owned()), ..tasks }).unwrap_err();
        assert!(JobError::from(fixed).is_fatal());
        assert!(
            serde_json::from_str::<Choice>(r#"{"engine":"siri"}"#)
                .unwrap_err()
                .to_string()
                .contains("openai")
        );
    }
}
