//! `bedel submit`.

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::option_flags::OptionFlags;
use super::output::{self, OutputOptions};
use super::progress::Progress;
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
    /// Address to tell when the lecture ends
    #[arg(long, value_name = "URL")]
    callback_url: Option<String>,
    /// Watch until it ends and print its last state; exit code 1 if it fails
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    output: OutputOptions,
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
    progress: Option<f64>,
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
            "callback_url": self.callback_url,
        });
        self.options.add_to(&mut body);
        let answer = remote.ask(Method::POST, "/api/lectures/download", Some(&body)).await?;
        let submitted: Submitted = remote.read(answer.clone())?;
        let was = if submitted.created { "new" } else { "exists already" };
        let text =
            || format!("lecture {}  {}  ({was})\n", submitted.lecture_id, table::clean(&submitted.status));
        if !self.watch {
            return self.output.print(&answer, text);
        }
        if !self.output.is_json() {
            output::write(&text())?;
        }
        let answer = watch(&remote, submitted.lecture_id).await?;
        let state: State = remote.read(answer.clone())?;
        let line = line(&state);
        self.output.print(&answer, || format!("lecture {}  {line}\n", submitted.lecture_id))?;
        if state.status == "failed" {
            return Err(CliError::Failed(format!("lecture {} failed", submitted.lecture_id)));
        }
        Ok(())
    }
}

/// Follows a lecture until it is completed or failed, and returns its last state.
async fn watch(remote: &Remote, lecture_id: Uuid) -> Result<Value, CliError> {
    let progress = Progress::start();
    let mut failed_polls = 0;
    loop {
        let answer: Value = match remote.get(&format!("/api/lectures/{lecture_id}/status")).await {
            Ok(answer) => answer,
            // The API or its database may restart; the lecture continues.
            Err(error) if failed_polls == MAX_FAILED_POLLS => return Err(error),
            Err(_) => {
                failed_polls += 1;
                sleep(POLL_INTERVAL).await;
                continue;
            }
        };
        failed_polls = 0;
        let state: State = remote.read(answer.clone())?;
        match state.status.as_str() {
            "completed" if state.stage.is_none() => return Ok(answer),
            "failed" => return Ok(answer),
            _ => {}
        }
        match state.progress {
            Some(fraction) => progress.fraction(&line(&state), fraction),
            None => progress.step(&line(&state)),
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Status, stage and error of a lecture.
fn line(state: &State) -> String {
    let parts = [Some(&state.status), state.stage.as_ref(), state.error_message.as_ref()];
    parts.into_iter().flatten().map(|part| table::clean(part)).collect::<Vec<_>>().join("  ")
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
        assert_eq!(line(&state), "downloading  probe");
        state = State {
            status: "failed".into(),
            stage: None,
            progress: None,
            error_message: Some("gone\u{1b}[2J".into()),
        };
        assert!(line(&state).starts_with("failed  gone") && !line(&state).contains('\u{1b}'));
    }
}
