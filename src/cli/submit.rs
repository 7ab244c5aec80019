//! `bedel submit`.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{CliError, table};
use crate::config::common::CommonOptions;
use crate::config::secret::Secret;
use crate::dev::state;

/// Hand in a recording by its Panopto link, over the HTTP API.
///
/// Without BEDEL_API_URL it speaks to the `bedel dev` that runs on the data directory.
#[derive(Debug, Args)]
#[command(
    after_help = "In the environment or in .env alone, since a command line can be read by every user of the machine:\n  \
                  [env: BEDEL_TOKEN] a token for the API"
)]
pub struct SubmitCommand {
    /// The recording's viewer link
    #[arg(value_name = "URL")]
    panopto_url: String,
    /// The course it belongs to
    #[arg(long, value_name = "UUID")]
    course: Uuid,
    /// The recording's media file, where it is known
    #[arg(long, value_name = "URL")]
    stream_url: Option<String>,
    /// Title of the lecture
    #[arg(long)]
    title: Option<String>,
    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,
    /// The API, without a path
    #[arg(long, env = "BEDEL_API_URL", value_name = "https://HOST")]
    api_url: Option<Url>,
}

/// The part of the answer that is shown.
#[derive(Deserialize)]
struct Submitted {
    lecture_id: Uuid,
    status: String,
    created: bool,
}

impl SubmitCommand {
    /// Submits and tells the lecture's id and status.
    ///
    /// # Errors
    /// Where no API is known or it refuses; its own words are passed on.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let (api, token) = self.api(common)?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            // A token is for the address it was given for, not for where that address points.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| CliError::Failed(format!("no HTTP client: {error}")))?;
        let answer = client
            .post(format!("{}/api/lectures/download", api.trim_end_matches('/')))
            .bearer_auth(token.expose())
            .json(&json!({
                "course_id": self.course,
                "panopto_url": self.panopto_url,
                "stream_url": self.stream_url,
                "title": self.title,
            }))
            .send()
            .await
            .map_err(|error| CliError::Failed(format!("{api} does not answer: {}", error.without_url())))?;
        let status = answer.status();
        let body = answer.json::<Value>().await;
        if !status.is_success() {
            let detail = body.ok().and_then(|body| Some(body.get("detail")?.as_str()?.to_owned()));
            let detail =
                detail.unwrap_or_else(|| "the answer is not Bedel's; check BEDEL_API_URL".to_owned());
            return Err(CliError::Failed(format!("refused ({status}): {}", table::clean(&detail))));
        }
        let body = body.map_err(|_| CliError::Failed(format!("the answer of {api} is not Bedel's")))?;
        if self.json {
            println!("{body}");
            return Ok(());
        }
        let submitted = Submitted::deserialize(&body)
            .map_err(|_| CliError::Failed(format!("the answer of {api} is not Bedel's")))?;
        let was = if submitted.created { "new" } else { "was there already" };
        println!("lecture {}  {}  ({was})", submitted.lecture_id, table::clean(&submitted.status));
        Ok(())
    }

    fn api(&self, common: &CommonOptions) -> Result<(String, Secret), CliError> {
        let token = Secret::of_variable("BEDEL_TOKEN");
        match (&self.api_url, token, state::running(&common.data_dir)) {
            (Some(url), Some(token), _) => Ok((url.to_string(), token)),
            (Some(_), None, _) => Err(CliError::Usage(
                "BEDEL_API_URL is set and BEDEL_TOKEN is not: set it to a token of that API".to_owned(),
            )),
            (None, token, Some(dev)) => Ok((dev.api_url, token.unwrap_or_else(|| Secret::new(dev.token)))),
            (None, _, None) => Err(CliError::Usage(format!(
                "no API: BEDEL_API_URL is not set and no `bedel dev` runs on {}.\n\
                 For everything on this machine, type in another terminal: bedel dev\n\
                 For a Bedel elsewhere, type: export BEDEL_API_URL=https://host BEDEL_TOKEN=…",
                common.data_dir.display()
            ))),
        }
    }
}
