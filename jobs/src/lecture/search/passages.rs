//! Cuts a transcript into passages, each about half a minute.

use bedel_speech::Transcript;
use bedel_speech::language;
use bedel_speech::transcript::Segment;

/// A passage ends before the segment with which it would have more characters. Half a minute of speech has
/// about as many.
const MAX_CHARS: usize = 450;
/// A passage ends before the segment with which it would last longer, in seconds.
const MAX_SECONDS: f64 = 45.0;
/// Longest segment that the next passage repeats, so that a phrase across the cut is found.
const MAX_OVERLAP_CHARS: usize = 150;

/// The rows of a transcript in the index.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRows {
    /// PostgreSQL's configuration for the language, if this version of PostgreSQL has it.
    pub(super) config: &'static str,
    pub(super) passages: Vec<Passage>,
}

/// Some segments in a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Passage {
    pub(super) segments: Vec<Spoken>,
}

/// A segment, or a part of a long one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spoken {
    /// Seconds.
    pub(super) start: f64,
    /// Seconds.
    pub(super) end: f64,
    pub(super) text: String,
}

impl SearchRows {
    /// The rows of a transcript.
    #[must_use]
    pub fn of(transcript: &Transcript) -> Self {
        let code = language::code(&transcript.language).unwrap_or_default();
        Self { config: config(&code), passages: passages(&transcript.segments) }
    }

    /// The rows of a transcript that cannot be read: only the title is found.
    #[must_use]
    pub fn empty() -> Self {
        Self { config: config(""), passages: Vec::new() }
    }
}

fn passages(segments: &[Segment]) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut open: Vec<Spoken> = Vec::new();
    let mut chars = 0;
    for segment in segments {
        for spoken in parts(segment) {
            let added = spoken.text.chars().count();
            let is_long = open.first().is_some_and(|first| spoken.end - first.start > MAX_SECONDS);
            if !open.is_empty() && (chars + added > MAX_CHARS || is_long) {
                let last = open.last().filter(|last| open.len() > 1 && is_short(last)).cloned();
                passages.push(Passage { segments: std::mem::take(&mut open) });
                // The overlap must leave room for the segment.
                open.extend(last.filter(|last| {
                    last.text.chars().count() + added <= MAX_CHARS && spoken.end - last.start <= MAX_SECONDS
                }));
                chars = open.iter().map(|spoken| spoken.text.chars().count()).sum();
            }
            chars += added;
            open.push(spoken);
        }
    }
    if !open.is_empty() {
        passages.push(Passage { segments: open });
    }
    passages
}

fn is_short(spoken: &Spoken) -> bool {
    spoken.text.chars().count() <= MAX_OVERLAP_CHARS
}

/// The segment, cut at blanks where it is longer than a passage. Times of the parts follow their share of the
/// characters.
fn parts(segment: &Segment) -> Vec<Spoken> {
    let characters: Vec<char> = segment.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let seconds_at = |at: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand characters")]
        let share = at as f64 / characters.len().max(1) as f64;
        ((segment.start + (segment.end - segment.start) * share) * 1000.0).round() / 1000.0
    };
    let mut parts = Vec::new();
    let mut begin = 0;
    while begin < characters.len() {
        let mut end = (begin + MAX_CHARS).min(characters.len());
        if end < characters.len()
            && let Some(blank) = characters[begin..end].iter().rposition(|c| c.is_whitespace())
        {
            end = begin + blank + 1;
        }
        let text: String = characters[begin..end].iter().collect();
        parts.push(Spoken { start: seconds_at(begin), end: seconds_at(end), text: text.trim().to_owned() });
        begin = end;
    }
    parts.retain(|part| !part.text.is_empty());
    parts
}

/// The name of PostgreSQL's configuration for a language; `simple` has no stems and no stop words.
fn config(code: &str) -> &'static str {
    CONFIGS.iter().find(|(known, _)| *known == code).map_or("simple", |(_, config)| config)
}

/// PostgreSQL 18's configurations.
const CONFIGS: [(&str, &str); 32] = [
    ("ar", "arabic"),
    ("hy", "armenian"),
    ("eu", "basque"),
    ("ca", "catalan"),
    ("da", "danish"),
    ("nl", "dutch"),
    ("en", "english"),
    ("et", "estonian"),
    ("fi", "finnish"),
    ("fr", "french"),
    ("de", "german"),
    ("el", "greek"),
    ("hi", "hindi"),
    ("hu", "hungarian"),
    ("id", "indonesian"),
    ("ga", "irish"),
    ("it", "italian"),
    ("lt", "lithuanian"),
    ("ne", "nepali"),
    ("no", "norwegian"),
    ("nb", "norwegian"),
    ("nn", "norwegian"),
    ("pt", "portuguese"),
    ("ro", "romanian"),
    ("ru", "russian"),
    ("sr", "serbian"),
    ("es", "spanish"),
    ("sv", "swedish"),
    ("ta", "tamil"),
    ("tr", "turkish"),
    ("yi", "yiddish"),
    ("ji", "yiddish"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: f64, end: f64, text: &str) -> Segment {
        Segment { id: 0, start, end, text: text.to_owned() }
    }

    #[test]
    fn passages_are_short_and_repeat_one_segment() {
        let segments: Vec<Segment> = (0..100)
            .map(|n| {
                segment(
                    f64::from(n) * 4.0,
                    f64::from(n) * 4.0 + 3.5,
                    &format!("Segment number {n} says little."),
                )
            })
            .collect();
        let made = passages(&segments);
        for passage in &made {
            let chars: usize = passage.segments.iter().map(|spoken| spoken.text.chars().count()).sum();
            let seconds = passage.segments.last().unwrap().end - passage.segments[0].start;
            assert!(chars <= MAX_CHARS && seconds <= MAX_SECONDS, "{passage:?}");
        }
        for pair in made.windows(2) {
            assert_eq!(pair[0].segments.last(), pair[1].segments.first());
        }
        assert_eq!(made.iter().map(|passage| passage.segments.len() - 1).sum::<usize>() + 1, 100);
    }

    #[test]
    fn a_long_segment_is_cut_at_blanks_and_loses_nothing() {
        let text = "word ".repeat(400);
        let made = passages(&[segment(10.0, 210.0, text.trim()), segment(300.0, 301.0, &"x".repeat(1000))]);
        let all: Vec<&Spoken> = made.iter().flat_map(|passage| &passage.segments).collect();
        let joined: Vec<&str> = all.iter().map(|spoken| spoken.text.as_str()).collect();
        assert_eq!(joined.join(" ").matches("word").count(), 400);
        assert_eq!(joined.concat().matches('x').count(), 1000);
        assert_eq!((all[0].start, all[1].start), (10.0, 55.023));
        assert!(all.iter().all(|spoken| spoken.text.chars().count() <= MAX_CHARS));
    }

    #[test]
    fn languages_have_configurations() {
        for (code, expected) in [("en", "english"), ("de", "german"), ("ja", "simple"), ("", "simple")] {
            assert_eq!(config(code), expected);
        }
    }
}
