//! A transcript as SubRip, for players without WebVTT.

use std::fmt::Write;

use super::captions::{Cue, cues};
use super::transcript::Transcript;
use super::vtt::timestamp;

/// Renders a file with numbered cues. [`captions`](crate::captions) says how segments become cues.
#[must_use]
pub fn render(transcript: &Transcript) -> String {
    let mut out = String::new();
    for (number, Cue { start, end, lines }) in (1..).zip(cues(transcript)) {
        let text = lines.iter().map(|line| without_arrows(line)).collect::<Vec<_>>().join("\n");
        let blank = if number == 1 { "" } else { "\n" };
        write!(out, "{blank}{number}\n{} --> {}\n{text}\n", timestamp(start, ','), timestamp(end, ','))
            .expect("writing to a string cannot fail");
    }
    out
}

/// Breaks up arrows, which would start another cue. The format has no escapes.
fn without_arrows(line: &str) -> String {
    line.replace("-->", "->")
}

#[cfg(test)]
mod tests {
    use super::super::transcript::Segment;
    use super::*;

    #[test]
    fn cues_are_numbered() {
        let segment = |id, start, end, text: &str| Segment { id, start, end, text: text.into() };
        let transcript = Transcript {
            version: 1,
            text: String::new(),
            language: "en".into(),
            duration: 3.0,
            model: "m".into(),
            engine: "e".into(),
            sound: None,
            segments: vec![
                segment(0, 0.0, 1.5, "One\n2\n00:00 --> 9 < 10 & so."),
                segment(1, 1.5, 3.0, "Two."),
            ],
            gaps: Vec::new(),
            raw: serde_json::Value::Null,
        };
        let expected = "1\n00:00:00,000 --> 00:00:01,416\nOne 2 00:00 -> 9 < 10 & so.\n\n\
                        2\n00:00:01,500 --> 00:00:03,000\nTwo.\n";
        assert_eq!(render(&transcript), expected);
    }
}
