//! The transcript as it is stored: cleaned, numbered and in order.

use bedel_queue::JobError;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::engine::{EngineInfo, RawSegment, RawTranscript};
use super::repetition::without_loops;

/// The form of [`Transcript`] that is written: its number grows with every change that a reader of the last one has to know of.
pub const VERSION: u32 = 1;

/// The payload of `transcripts/{lecture_id}.json`, described in `docs/reference/transcript.md`. One that another program wrote is read for
/// its segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Transcript {
    /// The form of this payload, 1. One that another program wrote, or this one did before forms were numbered, has none and
    /// is read as 0.
    #[serde(default)]
    pub version: u32,
    /// Everything that was said, segment by segment, with single blanks between them.
    #[serde(default)]
    pub text: String,
    /// The language spoken, as a two- or three-letter code. Empty where the engine does not tell.
    #[serde(default)]
    pub language: String,
    /// Length of the sound in seconds.
    #[serde(default)]
    pub duration: f64,
    /// The model that made it, e.g. `tiny.en`.
    #[serde(default)]
    pub model: String,
    /// The engine that made it, e.g. `whisper.cpp`.
    #[serde(default)]
    pub engine: String,
    /// In order; starts never go back, no end lies before its start or after `duration`.
    pub segments: Vec<Segment>,
    /// What the engine said in its own words, before anything was trimmed or dropped: for each piece of the recording that it was
    /// given `start` and `end` in seconds, and its `answer`, with times from the start of the piece. Only ever
    /// written: whoever reads a transcript here has no use for it.
    #[serde(default, deserialize_with = "unread")]
    #[schema(value_type = Vec<Object>)]
    pub raw: Value,
}

fn unread<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| Value::Null)
}

/// A piece of speech, usually a sentence or less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Segment {
    /// From 0, without gaps.
    #[serde(default)]
    pub id: u32,
    /// Seconds from the start of the recording, to the millisecond.
    pub start: f64,
    /// Seconds from the start of the recording, to the millisecond.
    pub end: f64,
    /// What was said, trimmed.
    pub text: String,
}

/// Nobody speaks in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no speech was found in this recording: it may be silent, hold music only, or have been recorded with the \
     microphone off; check the recording's sound, then submit it again"
)]
pub struct NoSpeech;

impl From<NoSpeech> for JobError {
    fn from(error: NoSpeech) -> Self {
        Self::fatal("no-speech", error.to_string())
    }
}

impl Transcript {
    /// Cleans what an engine returned: trims texts, drops marks for silence, noise and music, cuts loops, puts the segments in order
    /// inside the recording, which lasts so many `seconds`, and numbers them.
    ///
    /// # Errors
    /// `NoSpeech` where nothing is left.
    pub fn new(info: EngineInfo, raw: RawTranscript, seconds: f64) -> Result<Self, NoSpeech> {
        let duration = milliseconds(seconds);
        let RawTranscript { language, segments, raw } = raw;
        let mut spoken: Vec<RawSegment> = segments
            .into_iter()
            .map(|segment| RawSegment { text: speech_of(&segment.text), ..segment })
            .filter(|segment| !segment.text.is_empty())
            .collect();
        spoken.sort_by(|one, other| one.start.total_cmp(&other.start));
        let spoken = without_loops(spoken);
        let segments: Vec<Segment> = (0..)
            .zip(spoken)
            .map(|(id, RawSegment { start, end, text })| {
                let start = milliseconds(start).min(duration);
                Segment { id, start, end: milliseconds(end).clamp(start, duration), text }
            })
            .collect();
        if segments.is_empty() {
            return Err(NoSpeech);
        }
        let text = segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>().join(" ");
        let EngineInfo { engine, model } = info;
        Ok(Self { version: VERSION, text, language, duration, model, engine, segments, raw })
    }
}

/// To the millisecond; never negative, never not a number.
fn milliseconds(seconds: f64) -> f64 {
    (seconds.max(0.0) * 1000.0).round() / 1000.0
}

/// The text without surrounding blanks and without marks for silence; empty where nothing was said.
fn speech_of(text: &str) -> String {
    let text = text.replace("[BLANK_AUDIO]", " ").replace("BLANK_AUDIO", " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let spoken = text.chars().any(char::is_alphanumeric) && !is_mark(&text);
    if spoken { text } else { String::new() }
}

/// Whole texts in brackets describe sounds: `[ Silence ]`, `(upbeat music)`, `*coughs*`.
fn is_mark(text: &str) -> bool {
    [('[', ']'), ('(', ')'), ('*', '*'), ('♪', '♪')].into_iter().any(|(open, close)| {
        text.strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|inside| !inside.contains([open, close]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(duration: f64, segments: &[(f64, f64, &str)]) -> Result<Transcript, NoSpeech> {
        let segments = segments.iter().map(|(start, end, text)| RawSegment {
            start: *start,
            end: *end,
            text: (*text).to_owned(),
        });
        let raw = RawTranscript { language: "en".into(), segments: segments.collect(), raw: Value::Null };
        Transcript::new(EngineInfo { engine: "e".into(), model: "m".into() }, raw, duration)
    }

    #[test]
    fn marks_are_dropped_and_the_rest_is_numbered_anew() {
        let made = transcript(
            10.0,
            &[
                (0.0, 1.0, " [BLANK_AUDIO]"),
                (1.0, 2.0, "  Good  morning. "),
                (2.0, 3.0, "[ Silence ]"),
                (3.0, 4.0, "(upbeat music)"),
                (4.0, 5.0, " ... "),
                (5.0, 6.0, "BLANK_AUDIO"),
                (6.0, 7.0, "[BLANK_AUDIO] (a) is first, and so is (b)"),
                (7.0, 8.0, "*coughs*"),
                (7.0, 8.0, "[MUSIC PLAYING]"),
                (8.0, 9.0, "♪♪"),
                (8.0, 9.0, "♪ la la ♪"),
            ],
        )
        .unwrap();
        assert_eq!(made.text, "Good morning. (a) is first, and so is (b)");
        assert_eq!(made.segments.iter().map(|segment| segment.id).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn times_stay_in_order_and_inside_the_recording() {
        let made = transcript(
            4.0,
            &[(3.5, 9.0, "c"), (-1.0, 0.5, "a"), (2.0, 1.0, "b"), (f64::NAN, 1.0, "e"), (5.0, 6.0, "d")],
        )
        .unwrap();
        let starts: Vec<f64> = made.segments.iter().map(|segment| segment.start).collect();
        assert!(made.segments.iter().all(|s| s.start <= s.end && s.end <= 4.0), "{made:?}");
        assert!(starts[..4].is_sorted(), "{made:?}");
        assert_eq!(made.text, "a b c d e");
    }

    #[test]
    fn a_loop_is_cut_and_what_follows_is_numbered_behind_it() {
        let looped: Vec<_> =
            (0..20).map(|n| (f64::from(n), f64::from(n) + 1.0, "Thanks for watching.")).collect();
        let mut segments = vec![(0.0, 0.5, "Hello.")];
        segments.extend(&looped);
        segments.push((20.0, 21.0, "Goodbye."));
        let made = transcript(30.0, &segments).unwrap();
        assert_eq!(made.text, "Hello. Thanks for watching. Goodbye.");
        assert_eq!((made.segments[2].id, made.segments[2].start), (2, 20.0));
    }

    #[test]
    fn silence_is_no_transcript_and_says_what_to_do() {
        assert_eq!(transcript(5.0, &[]), Err(NoSpeech));
        assert_eq!(transcript(5.0, &[(0.0, 5.0, "[BLANK_AUDIO]")]), Err(NoSpeech));
        let error = JobError::from(NoSpeech);
        assert_eq!((error.class(), error.is_fatal()), ("no-speech", true));
        assert!(error.to_string().contains("microphone"));
    }
}
