//! `bedel submit`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use super::option_flags::OptionFlags;
use super::remote::{Remote, RemoteOptions};
use super::table;
use crate::config::common::CommonOptions;
use crate::error::CliError;

/// Poll interval while watching.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Consecutive polls that may fail.
const MAX_FAILED_POLLS: u32 = 60;

/// Submit a recording by its Panopto link, over the HTTP API.
#[derive(Debug, Args)]
pub struct SubmitCommand {
    /// Viewer link of the recording
    #[arg(value_name = "URL")]
    panopto_url: String,
    /// Course of the lecture
    #[arg(long, value_name = "UUID")]
    course: Uuid,
    /// Media file of the recording, if known
    #[arg(long, value_name = "URL")]
    stream_url: Option<String>,
    /// Title of the lecture
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    options: OptionFlags,
    /// Watch until it ends; exit code 1 if it fails
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteOptions,
}

/// The printed fields of the answer.
#[derive(Deserialize)]
struct Submitted {
    lecture_id: Uuid,
    status: String,
    created: bool,
}

/// The printed fields of a lecture's state.
#[derive(Deserialize)]
struct State {
    status: String,
    stage: Option<String>,
    progress: Option<f32>,
    error_message: Option<String>,
}

impl SubmitCommand {
    /// Submits, prints the lecture's id and status, and watches it with `--watch`.
    ///
    /// # Errors
    /// If there is no API or it refuses; its detail is printed.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.remote.open(common, false)?;
        let mut body = json!({
            "course_id": self.course,
            "panopto_url": self.panopto_url,
            "stream_url": self.stream_url,
            "title": self.title,
        });
        self.options.add_to(&mut body);
        let body = remote.ask(Method::POST, "/api/lectures/download", Some(&body)).await?;
        if self.json {
            println!("{body}");
            return Ok(());
        }
        let submitted: Submitted = remote.read(body)?;
        let was = if submitted.created { "new" } else { "exists already" };
        println!("lecture {}  {}  ({was})", submitted.lecture_id, table::clean(&submitted.status));
        if self.watch { watch(&remote, submitted.lecture_id).await } else { Ok(()) }
    }
}

/// Prints progress until the end: on a terminal as one changing line, elsewhere one line per change.
async fn watch(remote: &Remote, lecture_id: Uuid) -> Result<(), CliError> {
    let mut output = Line { live: std::io::stdout().is_terminal(), text: String::new() };
    let mut failed_polls = 0;
    loop {
        let state: State = match remote.get(&format!("/api/lectures/{lecture_id}/status")).await {
            Ok(state) => state,
            // The API or its database may restart; the lecture continues.
            Err(error) if failed_polls == MAX_FAILED_POLLS => return Err(error),
            Err(_) => {
                failed_polls += 1;
                sleep(POLL_INTERVAL).await;
                continue;
            }
        };
        failed_polls = 0;
        output.show(line(&state));
        match state.status.as_str() {
            "completed" if state.stage.is_none() => {
                output.end();
                return Ok(());
            }
            "failed" => {
                output.end();
                return Err(CliError::Failed(format!(
                    "lecture {lecture_id} failed; the line above says why"
                )));
            }
            _ => sleep(POLL_INTERVAL).await,
        }
    }
}

fn line(state: &State) -> String {
    let mut text = table::clean(&state.status);
    if let Some(stage) = &state.stage {
        text.push_str(&format!("  {}", table::clean(stage)));
    }
    if let Some(progress) = state.progress {
        text.push_str(&format!("  {:.0} %", progress * 100.0));
    }
    if let Some(message) = &state.error_message {
        text.push_str(&format!("  {}", table::clean(message)));
    }
    text
}

struct Line {
    /// True on a terminal.
    live: bool,
    text: String,
}

impl Line {
    fn show(&mut self, text: String) {
        if text == self.text {
            return;
        }
        if self.live {
            // Back to the start of the line, and clear it.
            print!("\r\x1b[K{text}");
            let _ = std::io::stdout().flush();
        } else {
            println!("{text}");
        }
        self.text = text;
    }

    fn end(&self) {
        if self.live {
            println!();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_line_shows_known_fields() {
        let mut state = State {
            status: "downloading".into(),
            stage: Some("probe".into()),
            progress: Some(0.426),
            error_message: None,
        };
        assert_eq!(line(&state), "downloading  probe  43 %");
        state = State {
            status: "failed".into(),
            stage: None,
            progress: None,
            error_message: Some("gone\u{1b}[2J".into()),
        };
        assert!(line(&state).starts_with("failed  gone") && !line(&state).contains('\u{1b}'));
    }
}
