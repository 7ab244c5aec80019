//! Speech engines and models.

use std::path::PathBuf;
use std::time::Duration;

use bedel_speech::engines::EngineKind;
use bedel_speech::remote::{ApiKey, MIN_UPLOAD_BYTES, RemoteSettings, UNKNOWN_STATE_TIMEOUT};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{parse, secret};

/// Time limit of a server's call, besides the part that grows with the audio.
const BASE_TIMEOUT: Duration = Duration::from_secs(120);

/// Poll interval for a task's result.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Speech engines and models.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Speech (a job may request any configured engine)")]
pub struct SpeechOptions {
    /// Engine of this process. A worker without one leaves transcribe jobs to others
    #[arg(long, env = "BEDEL_ENGINE", default_value = "embedded", value_name = "ENGINE")]
    pub engine: EngineChoice,

    /// Model of the embedded engine: a name from `bedel model list`, or the path of a ggml file
    #[arg(long, env = "BEDEL_MODEL", default_value = "tiny.en", value_name = "MODEL")]
    pub model: String,

    /// Directory of installed models [default: bedel/models in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, env = "BEDEL_MODEL_DIR", value_name = "DIR")]
    pub model_dir: Option<PathBuf>,

    /// Spoken language, such as en; by default a multilingual model detects it
    #[arg(long, env = "BEDEL_LANGUAGE", value_name = "CODE")]
    pub language: Option<String>,

    /// Base URL of an OpenAI-compatible server, with /audio/transcriptions below it. Its API key belongs in
    /// the environment or in .env: [env: BEDEL_OPENAI_KEY]
    #[arg(long, env = "BEDEL_OPENAI_URL", value_name = "http://HOST:8000/v1")]
    pub openai_url: Option<String>,

    /// Model to request; it must support the response format verbose_json
    #[arg(long, env = "BEDEL_OPENAI_MODEL", default_value = "whisper-1", value_name = "MODEL")]
    pub openai_model: String,

    /// Base URL of a task server, with /transcribe and /result/ID below it. Its API key belongs in the
    /// environment or in .env: [env: BEDEL_TASK_KEY]
    #[arg(long, env = "BEDEL_TASK_URL", value_name = "http://HOST:PORT")]
    pub task_url: Option<String>,

    /// Name of its model in transcripts
    #[arg(long, env = "BEDEL_TASK_MODEL", default_value = "unknown", value_name = "NAME")]
    pub task_model: String,

    /// Largest upload that a server accepts, in MiB; larger audio is encoded and cut into shorter pieces
    #[arg(long, env = "BEDEL_ENGINE_MAX_UPLOAD_MIB", default_value_t = 24, value_name = "MIB", value_parser = clap::value_parser!(u64).range(MIN_UPLOAD_BYTES >> 20..=1024))]
    pub engine_max_upload_mib: u64,

    /// Seconds that a server may take per second of audio, on top of two minutes
    #[arg(long, env = "BEDEL_ENGINE_PATIENCE", default_value = "2", value_name = "N", value_parser = patience)]
    pub engine_patience: f64,

    /// File of additional CA certificates (PEM) trusted for these servers
    #[arg(long, env = "BEDEL_ENGINE_CA_FILE", value_name = "FILE")]
    pub engine_ca_file: Option<PathBuf>,
}

/// Engine of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// Whisper in this process
    Embedded,
    /// The server at BEDEL_OPENAI_URL
    Openai,
    /// The server at BEDEL_TASK_URL
    Task,
    /// No engine
    None,
}

impl SpeechOptions {
    /// The OpenAI-compatible server, if one is configured.
    ///
    /// # Errors
    /// If its settings are invalid. The text shows no secret.
    pub fn openai(&self) -> Result<Option<RemoteSettings>, String> {
        let key = secret::from_variable("BEDEL_OPENAI_KEY");
        self.remote(self.openai_url.as_deref(), "BEDEL_OPENAI", &self.openai_model, key)
    }

    /// The task server, if one is configured.
    ///
    /// # Errors
    /// As [`SpeechOptions::openai`].
    pub fn task(&self) -> Result<Option<RemoteSettings>, String> {
        let key = secret::from_variable("BEDEL_TASK_KEY");
        self.remote(self.task_url.as_deref(), "BEDEL_TASK", &self.task_model, key)
    }

    /// True for a configured engine. The embedded one counts if it is compiled in.
    #[must_use]
    pub fn is_set_up(&self, kind: EngineKind) -> bool {
        let is_given = |url: &Option<String>| url.as_deref().is_some_and(|url| !url.trim().is_empty());
        match kind {
            EngineKind::Embedded => cfg!(feature = "whisper"),
            EngineKind::Openai => is_given(&self.openai_url),
            EngineKind::Task => is_given(&self.task_url),
        }
    }

    /// The language, if one is configured.
    #[must_use]
    pub fn language(&self) -> Option<String> {
        self.language.clone().filter(|language| !language.trim().is_empty())
    }

    fn remote(
        &self,
        url: Option<&str>,
        prefix: &str,
        model: &str,
        key: Option<SecretString>,
    ) -> Result<Option<RemoteSettings>, String> {
        let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else { return Ok(None) };
        let url = base(url).map_err(|problem| format!("{prefix}_URL: {problem}"))?;
        let key = key.map(|key| ApiKey::new(key.expose_secret())).transpose();
        let key = key.map_err(|_| format!("{prefix}_KEY: it holds characters that a key cannot have"))?;
        if key.is_some() && url.scheme() == "http" && !is_private(&url) {
            tracing::warn!("{prefix}_KEY is sent unencrypted: {prefix}_URL begins with http://");
        }
        Ok(Some(RemoteSettings {
            url,
            key,
            model: model.to_owned(),
            language: self.language(),
            max_upload_bytes: self.engine_max_upload_mib << 20,
            patience: self.engine_patience,
            grace: BASE_TIMEOUT,
            poll: POLL_INTERVAL,
            unknown_state: UNKNOWN_STATE_TIMEOUT,
            extra_ca: parse::pem("BEDEL_ENGINE_CA_FILE", self.engine_ca_file.as_deref())?,
        }))
    }
}

/// A base URL. Errors do not repeat it: it may hold a password.
fn base(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "not a URL; write one such as http://host:8000/v1")?;
    match () {
        () if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
            Err("it must begin with http:// or https://")
        }
        () if url.query().is_some() || url.fragment().is_some() => Err("it must not hold ? or #"),
        () if !url.username().is_empty() || url.password().is_some() => {
            Err("it must not hold a user or a password; a key has its own variable")
        }
        () => Ok(url),
    }
}

/// On this machine or in a private network, judged by the address.
fn is_private(url: &Url) -> bool {
    let in_private_network = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_private(),
        Some(url::Host::Ipv6(address)) => address.is_unique_local(),
        _ => false,
    };
    in_private_network || parse::is_loopback(url)
}

fn patience(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok().filter(|number| (0.05..=10.0).contains(number));
    number.ok_or("a number from 0.05 to 10")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_checked_and_never_repeated() {
        for good in ["http://127.0.0.1:8000/v1", "https://api.example.com/v1/", "http://gpu"] {
            base(good).unwrap();
        }
        for bad in [
            "hunter2",
            "ftp://hunter2/",
            "http://h/?key=hunter2",
            "http://user:hunter2@h/",
            "http://h/#hunter2",
            "data:hunter2",
        ] {
            let problem = base(bad).unwrap_err();
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }
}
