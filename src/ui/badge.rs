//! Status badges: a colour, an icon and a word, so that none depends on colour alone.

use bedel_jobs::document::DocumentStatus;
use bedel_jobs::lecture::LectureStatus;
use maud::{Markup, html};

use super::icons::{Icon, icon, spinning};

/// The meaning of a badge's colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Neutral,
    Good,
    Bad,
    Warn,
    Info,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Neutral => "badge",
            Self::Good => "badge good",
            Self::Bad => "badge bad",
            Self::Warn => "badge warn",
            Self::Info => "badge info",
        }
    }
}

/// A badge with an icon and a word.
pub(super) fn badge(tone: Tone, mark: Icon, text: &str) -> Markup {
    html! { span class=(tone.class()) { (icon(mark)) (text) } }
}

/// A badge for work in progress.
pub(super) fn working(text: &str) -> Markup {
    html! { span class=(Tone::Info.class()) { (spinning()) (text) } }
}

/// What the job of a stage does, for a student.
pub(super) fn stage_name(kind: &str) -> &str {
    match kind {
        "submit" => "Finding the recording",
        "download" => "Downloading",
        "probe" => "Checking the sound",
        "transcribe" => "Transcribing",
        other => other,
    }
}

/// A lecture's status with its stage. `is_running`: a worker has the job now.
pub(super) fn lecture(status: LectureStatus, stage: Option<&str>, is_running: bool) -> Markup {
    match (status, stage) {
        (LectureStatus::Completed, None) => badge(Tone::Good, Icon::Check, "Ready"),
        (LectureStatus::Completed, Some(_)) if is_running => working("Transcribing again"),
        (LectureStatus::Completed, Some(_)) => badge(Tone::Neutral, Icon::Clock, "Transcribed again soon"),
        (LectureStatus::Failed, _) => badge(Tone::Bad, Icon::Cross, "Failed"),
        (_, Some(kind)) if is_running => working(stage_name(kind)),
        (_, Some(kind)) => {
            badge(Tone::Neutral, Icon::Clock, &format!("Waiting: {}", stage_name(kind).to_lowercase()))
        }
        (_, None) => badge(Tone::Neutral, Icon::Clock, "Waiting"),
    }
}

/// A document's status.
pub(super) fn document(status: DocumentStatus) -> Markup {
    match status {
        DocumentStatus::Uploaded => badge(Tone::Good, Icon::Check, "Stored"),
        DocumentStatus::Failed => badge(Tone::Bad, Icon::Cross, "File missing"),
    }
}
