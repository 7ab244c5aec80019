//! The HTTP API as a command speaks to it.

use std::time::Duration;

use clap::Args;
use reqwest::{Client, Method};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::table;
use crate::config::common::CommonOptions;
use crate::config::secret;
use crate::error::CliError;
use crate::run::dev::state;

/// Longest answer; a course synchronisation is waited for up to a minute.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

/// Which API.
///
/// Without BEDEL_API_URL it is the `bedel dev` that runs on the data directory.
#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "API",
    after_help = "In the environment or in .env alone, since a command line can be read by every user of the machine:\n  \
                  [env: BEDEL_TOKEN] a token for the API"
)]
pub struct RemoteOptions {
    /// The API, without a path
    #[arg(long, env = "BEDEL_API_URL", value_name = "https://HOST")]
    api_url: Option<Url>,
}

/// An API and who asks it. Secret: no `Debug`.
pub struct Remote {
    base: String,
    token: SecretString,
    client: Client,
}

impl RemoteOptions {
    /// The API as an ordinary user, or, of a `bedel dev`, as its administrator.
    ///
    /// # Errors
    /// Where no API is known, or no token for it.
    pub fn open(&self, common: &CommonOptions, admin: bool) -> Result<Remote, CliError> {
        let token = secret::from_variable("BEDEL_TOKEN");
        let (base, token) = match (&self.api_url, token, state::running(&common.data_dir)) {
            (Some(url), Some(token), _) => (url.to_string(), token),
            (Some(_), None, _) => {
                return Err(CliError::Usage(
                    "BEDEL_API_URL is set and BEDEL_TOKEN is not: set it to a token of that API".to_owned(),
                ));
            }
            (None, token, Some(dev)) => {
                let own = if admin { dev.admin_token } else { dev.token };
                (dev.api_url, token.unwrap_or_else(|| SecretString::from(own)))
            }
            (None, _, None) => {
                return Err(CliError::Usage(format!(
                    "no API: BEDEL_API_URL is not set and no `bedel dev` runs on {}.\n\
                     For everything on this machine, type in another terminal: bedel dev\n\
                     For a Bedel elsewhere, type: export BEDEL_API_URL=https://host BEDEL_TOKEN=…",
                    common.data_dir.display()
                )));
            }
        };
        let client = Client::builder()
            .timeout(ANSWER_TIMEOUT)
            // A token is for the address it was given for, not for where that address points.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| CliError::Failed(format!("no HTTP client: {error}")))?;
        Ok(Remote { base: base.trim_end_matches('/').to_owned(), token, client })
    }
}

impl Remote {
    /// What the API answers to a GET.
    ///
    /// # Errors
    /// See [`Self::ask`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        let body = self.ask(Method::GET, path, None).await?;
        self.read(body)
    }

    /// What the API answers, as JSON.
    ///
    /// # Errors
    /// Where it does not answer or refuses; its own words are passed on.
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
        let body = answer.json::<Value>().await;
        if status.is_success() {
            return body.map_err(|_| self.not_bedels());
        }
        let detail = body.ok().and_then(|body| Some(body.get("detail")?.as_str()?.to_owned()));
        let detail = detail.unwrap_or_else(|| "the answer is not Bedel's; check BEDEL_API_URL".to_owned());
        Err(CliError::Failed(format!("refused ({status}): {}", table::clean(&detail))))
    }

    /// The parts of an answer that are needed.
    ///
    /// # Errors
    /// Where they are not there.
    pub fn read<T: DeserializeOwned>(&self, body: Value) -> Result<T, CliError> {
        serde_json::from_value(body).map_err(|_| self.not_bedels())
    }

    fn not_bedels(&self) -> CliError {
        CliError::Failed(format!("the answer of {} is not Bedel's", self.base))
    }
}
