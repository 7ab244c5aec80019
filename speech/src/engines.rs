//! The engines a process has, and which of them a job gets.

use std::sync::Arc;

use bedel_queue::JobError;
use serde::{Deserialize, Serialize};

use super::engine::Engine;

/// A kind of engine, by the name that configuration and jobs have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// Whisper in the worker's own process.
    Embedded,
    /// A server that speaks as OpenAI's does.
    Openai,
    /// A server that takes a recording as a task and is asked for its result.
    Task,
}

impl EngineKind {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Openai => "openai",
            Self::Task => "task",
        }
    }
}

/// What a job asks for instead of what its worker is set to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Choice {
    /// The kind of engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineKind>,
    /// The model, by the name that the engine knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The engines of a process; the first is the one for jobs that do not choose.
#[derive(Debug, Clone)]
pub struct Engines {
    engines: Vec<(EngineKind, Arc<dyn Engine>)>,
}

/// No engine here is what a job asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchEngine {
    /// It has none of that kind.
    #[error("this worker has no engine {}; it has {there}", kind.name())]
    Kind {
        /// What was asked for.
        kind: EngineKind,
        /// What it has.
        there: String,
    },
    /// The engine has one model.
    #[error("the engine {} has no choice of models: leave the model away, or take another engine", kind.name())]
    Model {
        /// The engine.
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
                "This lecture is to be transcribed by the engine {name}, which this worker does not have. It goes on at one that \
                 does; if it ends as failed, tell the operators."
            ),
        )
    }
}

impl Engines {
    /// With one engine.
    #[must_use]
    pub fn new(kind: EngineKind, engine: Arc<dyn Engine>) -> Self {
        Self { engines: vec![(kind, engine)] }
    }

    /// Adds one for jobs that ask for it.
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

    /// The engine for jobs that do not choose.
    #[must_use]
    pub fn default_engine(&self) -> &Arc<dyn Engine> {
        &self.engines[0].1
    }

    /// What a job asks for.
    ///
    /// # Errors
    /// Where there is no engine of that kind here, or it has no choice of models. Whether there is such a model is seen when it is
    /// used.
    pub fn choose(&self, choice: &Choice) -> Result<Arc<dyn Engine>, NoSuchEngine> {
        let wanted = choice.engine.unwrap_or(self.engines[0].0);
        let found = self.engines.iter().find(|(kind, _)| *kind == wanted);
        let (kind, engine) = found.ok_or_else(|| NoSuchEngine::Kind { kind: wanted, there: self.names() })?;
        let Some(model) = &choice.model else { return Ok(Arc::clone(engine)) };
        engine.with_model(model).ok_or_else(|| match choice.engine {
            Some(kind) => NoSuchEngine::Model { kind },
            // Another worker's own engine may have it.
            None => NoSuchEngine::Kind { kind: *kind, there: self.names() },
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::super::engine::{AudioChunk, Control, EngineError, EngineInfo, RawTranscript};
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
            unimplemented_here()
        }

        fn transcribe<'a>(
            &'a self,
            _: AudioChunk<'a>,
            _: &'a Control,
        ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
            Box::pin(async { unimplemented_here() })
        }
    }

    fn unimplemented_here<T>() -> Result<T, EngineError> {
        Err(EngineError::Failed("it only has a name".to_owned()))
    }

    #[test]
    fn a_job_gets_what_it_asks_for() {
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
