//! A line of the report of `bedel doctor`.

use serde::Serialize;

use crate::cli::{style, table};

/// One line of the report.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    subject: &'static str,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Fail,
}

impl Finding {
    pub(super) fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, subject, text: text.into() }
    }

    pub(super) fn warn(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warn, subject, text: text.into() }
    }

    pub(super) fn fail(subject: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Fail, subject, text: text.into() }
    }

    pub(super) fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let indented = table::clean_lines(&self.text).replace('\n', "\n                     ");
        let level = format!("{level:<5}");
        let level =
            if style::on_stdout() { style::paint(style::of_state(level.trim_end()), &level) } else { level };
        format!("{level} {:<14} {indented}", self.subject)
    }
}
