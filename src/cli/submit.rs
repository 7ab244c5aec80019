//! `bedel submit`.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use super::remote::{Remote, RemoteOptions};
use super::table;
use crate::config::common::CommonOptions;
use crate::error::CliError;

/// Between two looks at a lecture that is watched.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks in a row that may fail.
const MISSES: u32 = 60;

/// Hand in a recording by its Panopto link, over the HTTP API.
#[derive(Debug, Args)]
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
    /// Follow it to its end; exit code 1 where it fails
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteOptions,
}

/// The part of the answer that is shown.
#[derive(Deserialize)]
struct Submitted {
    lecture_id: Uuid,
    status: String,
    created: bool,
}

/// The part of a lecture's state that is shown.
#[derive(Deserialize)]
struct State {
    status: String,
    stage: Option<String>,
    progress: Option<f32>,
    error_message: Option<String>,
}

impl SubmitCommand {
    /// Submits, tells the lecture's id and status, and follows it where that is asked for.
    ///
    /// # Errors
    /// Where no API is known or it refuses; its own words are passed on.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.remote.open(common, false)?;
        let body = json!({
            "course_id": self.course,
            "panopto_url": self.panopto_url,
            "stream_url": self.stream_url,
            "title": self.title,
        });
        let body = remote.ask(Method::POST, "/api/lectures/download", Some(&body)).await?;
        if self.json {
            println!("{body}");
            return Ok(());
        }
        let submitted: Submitted = remote.read(body)?;
        let was = if submitted.created { "new" } else { "was there already" };
        println!("lecture {}  {}  ({was})", submitted.lecture_id, table::clean(&submitted.status));
        if self.watch { watch(&remote, submitted.lecture_id).await } else { Ok(()) }
    }
}

/// Shows what happens until there is an end: on a terminal in one line that changes, elsewhere in a line for each change.
async fn watch(remote: &Remote, lecture_id: Uuid) -> Result<(), CliError> {
    let mut shown = Line { live: std::io::stdout().is_terminal(), text: String::new() };
    let mut missed = 0;
    loop {
        let state: State = match remote.get(&format!("/api/lectures/{lecture_id}/status")).await {
            Ok(state) => state,
            // The API may be restarted or its database away: the lecture goes on meanwhile.
            Err(error) if missed == MISSES => return Err(error),
            Err(_) => {
                missed += 1;
                sleep(LOOK_EVERY).await;
                continue;
            }
        };
        missed = 0;
        shown.show(line(&state));
        match state.status.as_str() {
            "completed" => {
                shown.end();
                return Ok(());
            }
            "failed" => {
                shown.end();
                return Err(CliError::Failed(format!(
                    "lecture {lecture_id} has failed; its own words are above"
                )));
            }
            _ => sleep(LOOK_EVERY).await,
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
    /// On a terminal.
    live: bool,
    text: String,
}

impl Line {
    fn show(&mut self, text: String) {
        if text == self.text {
            return;
        }
        if self.live {
            // To the start of the line, and the rest of it away.
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
    fn a_line_says_what_is_known() {
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
