//! The events that webhooks report.

use std::str::FromStr;

use serde::Serialize;

/// An event of a standing subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub enum Event {
    /// A lecture has a new transcript.
    #[serde(rename = "lecture.completed")]
    LectureCompleted,
    /// A lecture failed: its job was discarded or cancelled.
    #[serde(rename = "lecture.failed")]
    LectureFailed,
    /// A job of any kind but `deliver-webhook` was discarded. For subscriptions of admins to everything.
    #[serde(rename = "job.discarded")]
    JobDiscarded,
}

/// The event of a test message.
pub const TEST: &str = "webhook.test";

/// The text names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the events are lecture.completed, lecture.failed and job.discarded")]
pub struct UnknownEvent;

impl Event {
    /// The events of lectures, which every subscription may have.
    pub const OF_LECTURES: [Self; 2] = [Self::LectureCompleted, Self::LectureFailed];

    /// The event's name, as payloads have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LectureCompleted => "lecture.completed",
            Self::LectureFailed => "lecture.failed",
            Self::JobDiscarded => "job.discarded",
        }
    }
}

impl FromStr for Event {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        [Self::LectureCompleted, Self::LectureFailed, Self::JobDiscarded]
            .into_iter()
            .find(|event| event.name() == text)
            .ok_or(UnknownEvent)
    }
}
