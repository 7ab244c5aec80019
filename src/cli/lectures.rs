//! `bedel lectures`.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::option_flags::OptionFlags;
use super::output::OutputOptions;
use super::remote::RemoteOptions;
use super::table::{self, Column};
use crate::config::common::CommonOptions;
use crate::error::CliError;

/// Lectures per page.
const PAGE: usize = 100;

const COLUMNS: [Column; 5] = [
    Column::whole("LECTURE"),
    Column::state("STATUS"),
    Column::whole("STAGE").optional(),
    Column::text("TITLE"),
    Column::text("MESSAGE").optional(),
];

/// List your lectures, newest first, or transcribe one again, over the HTTP API.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LecturesCommand {
    #[command(subcommand)]
    command: Option<LectureCommand>,
    /// Only this course
    #[arg(long, value_name = "UUID")]
    course: Option<Uuid>,
    /// Only this status
    #[arg(long, value_parser = ["pending", "downloading", "completed", "failed"])]
    status: Option<String>,
    /// Maximum number of lectures
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

#[derive(Debug, Subcommand)]
enum LectureCommand {
    /// Transcribe a completed or failed lecture again; the old transcript stays until the new one is stored
    Transcribe(TranscribeAgain),
}

#[derive(Debug, Args)]
struct TranscribeAgain {
    /// The lecture
    #[arg(value_name = "UUID")]
    lecture: Uuid,
    #[command(flatten)]
    options: OptionFlags,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    remote: RemoteOptions,
}

/// The printed fields of the answer.
#[derive(Deserialize)]
struct Enqueued {
    job_id: Uuid,
    status: String,
}

impl TranscribeAgain {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let remote = self.remote.open(common, false)?;
        let mut body = json!({});
        self.options.add_to(&mut body);
        let path = format!("/api/lectures/{}/transcribe", self.lecture);
        let answer = remote.ask(Method::POST, &path, Some(&body)).await?;
        let enqueued: Enqueued = remote.read(answer.clone())?;
        self.output.print(&answer, || {
            let status = table::clean(&enqueued.status);
            format!("lecture {}  {status}  job {}\n", self.lecture, enqueued.job_id)
        })
    }
}

#[derive(Deserialize)]
struct Page {
    lectures: Vec<Value>,
    next_cursor: Option<String>,
}

/// The printed fields of a lecture.
#[derive(Deserialize)]
struct Lecture {
    id: Uuid,
    status: String,
    stage: Option<String>,
    progress: Option<f32>,
    seconds_left: Option<i32>,
    title: Option<String>,
    error_message: Option<String>,
}

impl LecturesCommand {
    /// Prints the list, or runs the subcommand.
    ///
    /// # Errors
    /// If there is no API or it refuses; its detail is printed.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        if let Some(LectureCommand::Transcribe(command)) = &self.command {
            return command.run(common).await;
        }
        let remote = self.remote.open(common, false)?;
        let limit = self.limit as usize;
        let (mut lectures, mut cursor) = (Vec::new(), None);
        loop {
            let page: Page = remote.get(&self.path(limit - lectures.len(), cursor.as_deref())).await?;
            lectures.extend(page.lectures);
            cursor = page.next_cursor;
            if lectures.len() >= limit || cursor.is_none() {
                break;
            }
        }
        lectures.truncate(limit);
        let rows =
            lectures.iter().map(|lecture| remote.read(lecture.clone()).map(|lecture: Lecture| row(&lecture)));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        self.output.print(&lectures, || table::render(&COLUMNS, &rows))
    }

    fn path(&self, wanted: usize, cursor: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &wanted.min(PAGE).to_string());
        if let Some(course) = self.course {
            query.append_pair("course_id", &course.to_string());
        }
        if let Some(status) = &self.status {
            query.append_pair("status", status);
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        format!("/api/lectures?{}", query.finish())
    }
}

fn row(lecture: &Lecture) -> Vec<String> {
    let stage = lecture.stage.as_deref().unwrap_or_default();
    let progress = lecture.progress.map(|progress| format!(" {:.0} %", progress * 100.0)).unwrap_or_default();
    let left = lecture.seconds_left.map(|left| format!(", {} left", duration(left))).unwrap_or_default();
    vec![
        lecture.id.to_string(),
        lecture.status.clone(),
        format!("{stage}{progress}{left}"),
        lecture.title.clone().unwrap_or_default(),
        lecture.error_message.clone().unwrap_or_default(),
    ]
}

/// As text: `40 s`, `12 min`, `2 h 5 min`.
fn duration(seconds: i32) -> String {
    let minutes = (seconds + 30) / 60;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn remaining_time_is_text() {
        for (seconds, words) in [(7, "7 s"), (31, "1 min"), (3599, "1 h 0 min"), (7500, "2 h 5 min")] {
            assert_eq!(super::duration(seconds), words);
        }
    }
}
