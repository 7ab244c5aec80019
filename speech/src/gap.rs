//! Stretches of a recording whose words are missing or have no exact times.

use serde::{Deserialize, Serialize};

/// Why a stretch is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// The engine's text has more words than its segments. They are in the transcript, at estimated times.
    LostWords,
    /// There is speech, and the engine returned no words.
    NoWords,
}

/// A stretch for which the engine was asked twice and still left something out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Gap {
    /// Seconds, on the clock of the segments beside it.
    pub start: f64,
    /// Seconds, on the clock of the segments beside it.
    pub end: f64,
    /// What is wrong with it.
    pub reason: GapReason,
}

impl Gap {
    /// Its length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.end - self.start).max(0.0)
    }

    /// True if the middle of a segment from `start` to `end`, on the same clock, is in it.
    pub(super) fn covers(&self, start: f64, end: f64) -> bool {
        (self.start..=self.end).contains(&f64::midpoint(start, end))
    }

    /// The gap, cut to `0..length`, on a clock that began `offset` seconds earlier.
    pub(super) fn moved(self, offset: f64, length: f64) -> Self {
        let place = |seconds: f64| offset + seconds.clamp(0.0, length);
        Self { start: place(self.start), end: place(self.end), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_stable_words() {
        let gap = Gap { start: 1.0, end: 2.5, reason: GapReason::NoWords };
        let json = r#"{"start":1.0,"end":2.5,"reason":"no-words"}"#;
        assert_eq!(serde_json::to_string(&gap).unwrap(), json);
        assert_eq!(serde_json::to_string(&GapReason::LostWords).unwrap(), r#""lost-words""#);
        assert_eq!(gap.moved(10.0, 2.0), Gap { start: 11.0, end: 12.0, ..gap });
    }
}
