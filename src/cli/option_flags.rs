//! Flags that say how a lecture is transcribed.

use bedel_speech::engines::EngineKind;
use clap::Args;
use serde_json::{Value, json};

/// How a lecture is transcribed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Transcription (the course's defaults where left out)")]
pub struct OptionFlags {
    /// Spoken language, such as en
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// Word or name to expect; may be repeated
    #[arg(long = "term", value_name = "TERM")]
    terms: Vec<String>,
    /// Speech engine: embedded, openai or task
    #[arg(long, value_name = "ENGINE", value_parser = engine)]
    engine: Option<EngineKind>,
    /// Model, by the engine's name for it
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
}

impl OptionFlags {
    /// Adds the flags that were given to a request's body.
    pub fn add_to(&self, body: &mut Value) {
        let Self { language, terms, engine, model } = self;
        if let Some(language) = language {
            body["language"] = json!(language);
        }
        if !terms.is_empty() {
            body["vocabulary"] = json!(terms);
        }
        if let Some(engine) = engine {
            body["engine"] = json!(engine);
        }
        if let Some(model) = model {
            body["model"] = json!(model);
        }
    }
}

fn engine(name: &str) -> Result<EngineKind, &'static str> {
    EngineKind::named(name).ok_or("use embedded, openai or task")
}
