//! The stored transcript: cleaned, sorted and numbered.

use bedel_media::sound::SoundChoice;
use bedel_queue::JobError;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::cue_times::tidy;
use super::engine::EngineInfo;
use super::gap::Gap;
use super::raw_transcript::{RawSegment, RawTranscript};
use super::repetition::cut_loops;

/// Version of the [`Transcript`] format. Grows with every change that its readers must know of.
pub const VERSION: u32 = 1;

/// The content of `transcripts/{lecture_id}.json`, described in `docs/reference/transcript.md`. Only `segments` is
/// required, so files of other programs can be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Transcript {
    /// Version of this format, 1. Files of other programs, and ours from before versions, have none and are
    /// read as 0.
    #[serde(default)]
    pub version: u32,
    /// The texts of all segments, joined with single spaces.
    #[serde(default)]
    pub text: String,
    /// The language spoken, as a two- or three-letter code. Empty if the engine does not say.
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
    /// The sound that was transcribed: which track and channels, and why. Older files and those of other programs have
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundChoice>,
    /// Sorted by start. No end is before its start or after `duration`.
    pub segments: Vec<Segment>,
    /// Stretches that lack words although the engine was asked twice, in order. Left out if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// The engine's answers before any clean-up: for each piece of the recording, `start` and `end` in
    /// seconds, and its `answer`, with times from the start of the piece. Written but never read here.
    #[serde(default, deserialize_with = "skip_raw")]
    #[schema(value_type = Vec<Object>)]
    pub raw: Value,
}

fn skip_raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| Value::Null)
}

/// A stretch of speech, usually a sentence or less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Segment {
    /// From 0, without gaps.
    #[serde(default)]
    pub id: u32,
    /// Seconds from the start of the recording, to the millisecond.
    pub start: f64,
    /// Seconds from the start of the recording, to the millisecond.
    pub end: f64,
    /// The text spoken, trimmed.
    pub text: String,
}

/// The recording contains no speech.
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
    /// Cleans an engine's result for a recording of `seconds`: trims texts, drops labels for silence, noise
    /// and music, cuts loops and duplicates, sorts and numbers the segments, and clamps their times to the recording.
    ///
    /// # Errors
    /// `NoSpeech` if nothing is left.
    pub fn new(info: EngineInfo, raw: RawTranscript, seconds: f64) -> Result<Self, NoSpeech> {
        let duration = milliseconds(seconds);
        let RawTranscript { language, segments, gaps, raw } = raw;
        let spoken: Vec<RawSegment> = segments
            .into_iter()
            .map(|segment| RawSegment { text: clean_text(&segment.text), ..segment })
            .filter(|segment| !segment.text.is_empty())
            .collect();
        let spoken = cut_loops(tidy(spoken, duration));
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
        let rounded = |gap: Gap| {
            let start = milliseconds(gap.start).min(duration);
            Gap { start, end: milliseconds(gap.end).clamp(start, duration), ..gap }
        };
        let gaps = gaps.into_iter().map(rounded).collect();
        let EngineInfo { engine, model } = info;
        Ok(Self {
            version: VERSION,
            text,
            language,
            duration,
            model,
            engine,
            sound: None,
            segments,
            gaps,
            raw,
        })
    }
}

/// Rounds to the millisecond. Negative times and NaN become 0.
fn milliseconds(seconds: f64) -> f64 {
    (seconds.max(0.0) * 1000.0).round() / 1000.0
}

/// Trims a text and drops labels for silence. Empty if no speech is left.
fn clean_text(text: &str) -> String {
    let text = text.replace("[BLANK_AUDIO]", " ").replace("BLANK_AUDIO", " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let spoken = text.chars().any(char::is_alphanumeric) && !is_sound_label(&text);
    if spoken { text } else { String::new() }
}

/// True for a text all in brackets, which describes a sound: `[ Silence ]`, `(upbeat music)`, `*coughs*`.
fn is_sound_label(text: &str) -> bool {
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
        let raw = RawTranscript {
            language: "en".into(),
            segments: segments.collect(),
            gaps: Vec::new(),
            raw: Value::Null,
        };
        Transcript::new(EngineInfo { engine: "e".into(), model: "m".into() }, raw, duration)
    }

    #[test]
    fn sound_labels_are_dropped_and_segments_renumbered() {
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
    fn times_stay_sorted_and_inside_the_recording() {
        let made = transcript(
            4.0,
            &[(3.5, 9.0, "c"), (-1.0, 0.5, "a"), (2.0, 1.0, "b"), (f64::NAN, 1.0, "e"), (5.0, 6.0, "d")],
        )
        .unwrap();
        let starts: Vec<f64> = made.segments.iter().map(|segment| segment.start).collect();
        assert!(made.segments.iter().all(|s| s.start <= s.end && s.end <= 4.0), "{made:?}");
        assert!(starts.is_sorted(), "{made:?}");
        assert_eq!(made.text, "a e b c d");
    }

    #[test]
    fn a_loop_is_cut_before_segments_are_numbered() {
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
    fn silence_is_an_error_that_says_what_to_do() {
        assert_eq!(transcript(5.0, &[]), Err(NoSpeech));
        assert_eq!(transcript(5.0, &[(0.0, 5.0, "[BLANK_AUDIO]")]), Err(NoSpeech));
        let error = JobError::from(NoSpeech);
        assert_eq!((error.class(), error.is_fatal()), ("no-speech", true));
        assert!(error.to_string().contains("microphone"));
    }
}
