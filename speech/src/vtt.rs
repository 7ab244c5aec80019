//! A transcript as WebVTT (W3C), for players.

use std::fmt::Write;

use super::captions::{Cue, cues};
use super::raw_transcript::RawSegment;
use super::transcript::Transcript;

/// Renders a file. [`captions`](crate::captions) says how segments become cues.
#[must_use]
pub fn render(transcript: &Transcript) -> String {
    let mut out = String::from("WEBVTT\n");
    for Cue { start, end, lines } in cues(transcript) {
        let text = lines.iter().map(|line| escape(line)).collect::<Vec<_>>().join("\n");
        write!(out, "\n{} --> {}\n{text}\n", timestamp(start, '.'), timestamp(end, '.'))
            .expect("writing to a string cannot fail");
    }
    out
}

/// `HH:MM:SS.mmm`, with `point` before the milliseconds.
pub(super) fn timestamp(milliseconds: i64, point: char) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}{point}{milliseconds:03}", minutes / 60, minutes % 60)
}

/// Escapes a line of a cue, so that it contains no tag and no arrow.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

/// Reads the cues of a file from another program, in order. Skips everything else.
pub(super) fn parse(file: &str) -> Vec<RawSegment> {
    let mut cues: Vec<RawSegment> = Vec::new();
    let mut is_open = false;
    for line in file.lines() {
        if let Some((start, end)) = times(line) {
            cues.push(RawSegment { start, end, text: String::new() });
            is_open = true;
        } else if line.trim().is_empty() {
            is_open = false;
        } else if let Some(cue) = cues.last_mut().filter(|_| is_open) {
            cue.text.push(' ');
            cue.text.push_str(plain(line).trim());
        }
    }
    cues.retain(|cue| !cue.text.trim().is_empty());
    cues
}

/// `00:01.500 --> 00:03.000 align:start` in seconds.
fn times(line: &str) -> Option<(f64, f64)> {
    let (start, rest) = line.split_once("-->")?;
    Some((seconds(start.trim())?, seconds(rest.split_whitespace().next()?)?))
}

/// Reads `HH:MM:SS.mmm`. The hours are optional, and the point may be a comma.
fn seconds(timestamp: &str) -> Option<f64> {
    let parts: Vec<&str> = timestamp.split(':').collect();
    let (last, before) = parts.split_last().filter(|(_, before)| (1..=2).contains(&before.len()))?;
    let seconds: f64 = last.replace(',', ".").parse().ok().filter(|seconds| (0.0..60.0).contains(seconds))?;
    let minutes =
        before.iter().try_fold(0_u32, |sum, part| sum.checked_mul(60)?.checked_add(part.parse().ok()?))?;
    Some(f64::from(minutes) * 60.0 + seconds)
}

/// A cue's text without tags, with character references decoded.
fn plain(line: &str) -> String {
    let (mut text, mut is_tag) = (String::with_capacity(line.len()), false);
    for character in line.chars() {
        match character {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            other if !is_tag => text.push(other),
            _ => {}
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", " ").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::super::transcript::Segment;
    use super::*;

    #[test]
    fn timestamps_have_hours_and_milliseconds() {
        for (milliseconds, expected) in [
            (0, "00:00:00.000"),
            (999, "00:00:00.999"),
            (61_500, "00:01:01.500"),
            (4_500_040, "01:15:00.040"),
            (360_000_000, "100:00:00.000"),
        ] {
            assert_eq!(timestamp(milliseconds, '.'), expected);
        }
    }

    #[test]
    fn text_cannot_form_a_tag_or_a_cue() {
        for (text, expected) in [
            ("a & b", "a &amp; b"),
            ("x < y", "x &lt; y"),
            ("00:01 --> 00:02", "00:01 --&gt; 00:02"),
            ("<v Bob>hi", "&lt;v Bob&gt;hi"),
            ("naïve 日本", "naïve 日本"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn a_file_has_a_header_and_cues() {
        let segment = |id, start, end, text: &str| Segment { id, start, end, text: text.into() };
        let transcript = Transcript {
            version: 1,
            text: String::new(),
            language: "en".into(),
            duration: 3.0,
            model: "m".into(),
            engine: "e".into(),
            sound: None,
            segments: vec![segment(0, 0.0, 1.5, "One."), segment(1, 1.5, 3.0, "Two\n\nand\u{0}three.")],
            gaps: Vec::new(),
            raw: serde_json::Value::Null,
        };
        let expected = "WEBVTT\n\n00:00:00.000 --> 00:00:01.416\nOne.\n\n00:00:01.500 --> 00:00:03.000\nTwo and three.\n";
        assert_eq!(render(&transcript), expected);
    }

    #[test]
    fn files_of_other_programs_are_read() {
        let file = "WEBVTT - by somebody\nKind: captions\n\nNOTE no cue\n\n1\n00:01.500 --> 00:03,250 align:start\n<v Bob>One &amp;\n\
                    <i>two</i> &lt;3\n\n01:00:00.000 --> 01:00:01.000\nThree.\r\n\nlost\n\nnever --> ever\nmore\n\n00:07.000 --> 00:08.000\n\n00:99.000 --> 1\n";
        let cues = parse(file);
        let shown: Vec<_> = cues.iter().map(|cue| (cue.start, cue.end, cue.text.trim())).collect();
        assert_eq!(shown, [(1.5, 3.25, "One & two <3"), (3600.0, 3601.0, "Three.")]);
        for (timestamp, expected) in [
            ("1:2:3.5", Some(3723.5)),
            ("59.9", None),
            ("0:60.0", None),
            ("-1:00.0", None),
            ("1:1:1:1", None),
            ("0:nan", None),
        ] {
            assert_eq!(seconds(timestamp), expected, "{timestamp}");
        }
    }
}
