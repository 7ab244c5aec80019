//! A transcript as WebVTT (W3C), for players.

use std::fmt::Write;

use super::transcript::Transcript;

/// The whole file: one cue per segment.
#[must_use]
pub fn render(transcript: &Transcript) -> String {
    let mut out = String::from("WEBVTT\n");
    for segment in &transcript.segments {
        let (start, end, text) =
            (timestamp(segment.start, '.'), timestamp(segment.end, '.'), escape(&segment.text));
        write!(out, "\n{start} --> {end}\n{text}\n").expect("writing to a string cannot fail");
    }
    out
}

/// `HH:MM:SS.mmm` with another `point` if need be, rounded to the millisecond before it is split, so that 59.9996 s is `00:01:00.000`.
pub(super) fn timestamp(seconds: f64, point: char) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates at both ends"
    )]
    let milliseconds = (seconds * 1000.0).round() as u64;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}{point}{milliseconds:03}", minutes / 60, minutes % 60)
}

/// A cue's text is one line, without tags and without the arrow that would start another cue.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other if other.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::transcript::Segment;
    use super::*;

    #[test]
    fn timestamps_carry() {
        for (seconds, expected) in [
            (0.0, "00:00:00.000"),
            (0.9994, "00:00:00.999"),
            (0.9996, "00:00:01.000"),
            (59.9996, "00:01:00.000"),
            (61.5, "00:01:01.500"),
            (3599.9999, "01:00:00.000"),
            (4500.04, "01:15:00.040"),
            (360_000.0, "100:00:00.000"),
            (-1.0, "00:00:00.000"),
            (f64::NAN, "00:00:00.000"),
        ] {
            assert_eq!(timestamp(seconds, '.'), expected, "{seconds}");
        }
    }

    #[test]
    fn text_can_neither_be_a_tag_nor_start_a_cue() {
        for (text, expected) in [
            ("a & b", "a &amp; b"),
            ("x < y", "x &lt; y"),
            ("00:01 --> 00:02", "00:01 --&gt; 00:02"),
            ("<v Bob>hi", "&lt;v Bob&gt;hi"),
            ("one\n\ntwo\r\u{0}", "one  two  "),
            ("naïve 日本", "naïve 日本"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn a_file_is_a_head_and_cues() {
        let segment = |id, start, end, text: &str| Segment { id, start, end, text: text.into() };
        let transcript = Transcript {
            text: String::new(),
            language: "en".into(),
            duration: 3.0,
            model: "m".into(),
            engine: "e".into(),
            segments: vec![segment(0, 0.0, 1.5, "One."), segment(1, 1.5, 3.0, "Two.")],
        };
        let expected =
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nOne.\n\n00:00:01.500 --> 00:00:03.000\nTwo.\n";
        assert_eq!(render(&transcript), expected);
    }
}
