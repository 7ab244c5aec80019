//! A client of the HTTP API.

use std::time::Duration;

use clap::Args;
use reqwest::{Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::table;
use crate::config::common::CommonOptions;
use crate::config::secret;
use crate::error::CliError;
use crate::run::dev::state;

/// Longest wait for an answer. A course synchronisation takes up to a minute.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// The API to call.
///
/// Without BEDEL_API_URL, the `bedel dev` on the data directory.
#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "API",
    after_help = "Secrets, in the environment or in .env only, since every user of the machine can read a \
        command line:\n  [env: BEDEL_TOKEN] token for the API"
)]
pub struct RemoteOptions {
    /// Base URL of the API
    #[arg(long, env = "BEDEL_API_URL", value_name = "https://HOST")]
    api_url: Option<Url>,
}

/// An API and a token for it. Secret: no `Debug`.
pub struct Remote {
    base: String,
    token: SecretString,
    client: Client,
}

impl RemoteOptions {
    /// The API as an ordinary user; for a `bedel dev`, as its admin if `admin` is true.
    ///
    /// # Errors
    /// If there is no API or no token.
    pub fn open(&self, common: &CommonOptions, admin: bool) -> Result<Remote, CliError> {
        let token = secret::from_variable("BEDEL_TOKEN");
        let (base, token) = match (&self.api_url, token, state::running(&common.data_dir)) {
            (Some(url), Some(token), _) => (url.to_string(), token),
            (Some(_), None, _) => {
                return Err(CliError::Usage(
                    "BEDEL_API_URL is set without BEDEL_TOKEN: set it to a token of that API".to_owned(),
                ));
            }
            (None, token, Some(dev)) => {
                let own = if admin { dev.admin_token } else { dev.token };
                (dev.api_url, token.unwrap_or_else(|| SecretString::from(own)))
            }
            (None, _, None) => {
                return Err(CliError::Usage(format!(
                    "no API: BEDEL_API_URL is not set and no `bedel dev` runs on {}.\nTo run everything on \
                     this machine, type in another terminal: bedel dev\nTo use another machine, type: export \
                     BEDEL_API_URL=https://host BEDEL_TOKEN=…",
                    common.data_dir.display()
                )));
            }
        };
        let client = Client::builder()
            .timeout(ANSWER_TIMEOUT)
            // Do not send the token to the target of a redirect.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| CliError::Failed(format!("no HTTP client: {error}")))?;
        Ok(Remote { base: base.trim_end_matches('/').to_owned(), token, client })
    }
}

impl Remote {
    /// The answer to a GET.
    ///
    /// # Errors
    /// See [`Self::ask`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        let body = self.ask(Method::GET, path, None).await?;
        self.read(body)
    }

    /// The answer as JSON; null for one without a body.
    ///
    /// # Errors
    /// If the API does not answer or refuses; its detail is printed.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CliError> {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.token.expose_secret());
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| {
            CliError::Failed(format!("{} does not answer: {}", self.base, error.without_url()))
        })?;
        let status = answer.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        let body = answer.json::<Value>().await;
        if status.is_success() {
            return body.map_err(|_| self.not_bedels());
        }
        let detail = body.ok().and_then(|body| Some(body.get("detail")?.as_str()?.to_owned()));
        let detail =
            detail.unwrap_or_else(|| "this is not an answer of Bedel; check BEDEL_API_URL".to_owned());
        Err(CliError::Failed(format!("refused ({status}): {}", table::clean(&detail))))
    }

    /// Parses an answer.
    ///
    /// # Errors
    /// If fields are missing.
    pub fn read<T: DeserializeOwned>(&self, body: Value) -> Result<T, CliError> {
        serde_json::from_value(body).map_err(|_| self.not_bedels())
    }

    fn not_bedels(&self) -> CliError {
        CliError::Failed(format!("{} does not answer like Bedel; check BEDEL_API_URL", self.base))
    }
}
