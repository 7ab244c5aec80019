//! The streams of a recording, and when the session plays them.
//!
//! A podcast has picture and sound of the whole session, on the viewer's own clock. The plain streams of a
//! session are its cameras, screens and microphones. Each may start late (`RelativeStart`), stop and go on as
//! another stream, and be cut by the owner (`RelativeSegments`).

use serde::{Deserialize, Serialize};
use url::Url;

/// Most streams that are kept. A session with several cameras has four or five.
pub const MAX_STREAMS: usize = 32;

/// Most spans of one stream: an owner who cuts every ten seconds of three hours.
pub const MAX_SPANS: usize = 1000;

/// Latest second that a span may name.
const MAX_SECONDS: f64 = 48.0 * 3600.0;

/// Largest overlap that is rounding, in seconds.
const ROUNDING: f64 = 1e-6;

/// A stream that Panopto named.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Its address, absolute. May carry a signature.
    pub url: Url,
    /// What it records.
    pub kind: StreamKind,
    /// What the session plays of it, in the session's order, without overlaps. Empty: all of it, from the
    /// session's start.
    pub spans: Vec<Span>,
}

/// What a stream records, best sound first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// Picture and sound of the whole session.
    Podcast,
    /// A camera with its microphone (`DV`).
    Camera,
    /// A microphone (`AUDIO`).
    Audio,
    /// Without a tag.
    Unknown,
    /// A screen or slides (`SCREEN`, `OBJECT`), often without sound.
    Screen,
}

impl StreamKind {
    pub(super) fn of_tag(tag: Option<&str>) -> Self {
        match tag {
            Some("DV") => Self::Camera,
            Some("AUDIO") => Self::Audio,
            None => Self::Unknown,
            Some(_) => Self::Screen,
        }
    }

    /// The word in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Podcast => "podcast",
            Self::Camera => "camera",
            Self::Audio => "audio",
            Self::Unknown => "unknown",
            Self::Screen => "screen",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let kinds = [Self::Podcast, Self::Camera, Self::Audio, Self::Unknown, Self::Screen];
        kinds.into_iter().find(|kind| kind.name() == name)
    }
}

/// A stretch of a stream that the session plays. All in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// Where the session plays it.
    pub at: f64,
    /// Where it begins in the stream's file.
    pub start: f64,
    /// Where it ends there; `None` is the file's end.
    pub end: Option<f64>,
}

impl Span {
    /// Where the session leaves it; `None` is the file's end.
    #[must_use]
    pub fn session_end(&self) -> Option<f64> {
        self.end.map(|end| self.at + end - self.start)
    }

    fn is_valid(&self) -> bool {
        let is_time = |seconds: f64| (0.0..=MAX_SECONDS).contains(&seconds);
        is_time(self.at)
            && is_time(self.start)
            && self.end.is_none_or(|end| is_time(end) && end > self.start)
            && self.session_end().is_none_or(is_time)
    }

    /// Without its first seconds.
    fn without_first(self, seconds: f64) -> Self {
        Self { at: self.at + seconds, start: self.start + seconds, end: self.end }
    }
}

/// What a viewer plays: these spans in the session's order. A span that begins before the session does is cut
/// there, and one that begins before the last one ended is cut there too. Spans that are no times, last no
/// time or are too many are left out.
#[must_use]
pub fn arrange(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let from_zero = |span: Span| if span.at < 0.0 { span.without_first(-span.at) } else { span };
    let mut spans: Vec<Span> =
        spans.into_iter().take(MAX_SPANS).map(from_zero).filter(Span::is_valid).collect();
    spans.sort_by(|a, b| a.at.total_cmp(&b.at));
    let mut arranged: Vec<Span> = Vec::new();
    for mut span in spans {
        match arranged.last().map(Span::session_end) {
            // Nothing follows a span without an end.
            Some(None) => break,
            Some(Some(end)) if span.at < end => span = span.without_first(end - span.at),
            _ => {}
        }
        if span.is_valid() {
            arranged.push(span);
        }
    }
    arranged
}

/// True if the spans are as [`arrange`] returns them.
#[must_use]
pub fn are_arranged(spans: &[Span]) -> bool {
    spans.len() <= MAX_SPANS
        && spans.iter().all(Span::is_valid)
        && spans.is_sorted_by(|a, b| a.session_end().is_some_and(|end| end <= b.at + ROUNDING))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(at: f64, start: f64, end: impl Into<Option<f64>>) -> Span {
        Span { at, start, end: end.into() }
    }

    #[test]
    fn spans_are_sorted_and_do_not_overlap() {
        let table = [
            (
                vec![span(20.0, 30.0, 40.0), span(0.0, 0.0, 20.0)],
                vec![span(0.0, 0.0, 20.0), span(20.0, 30.0, 40.0)],
            ),
            (
                vec![span(0.0, 0.0, 20.0), span(15.0, 30.0, 40.0)],
                vec![span(0.0, 0.0, 20.0), span(20.0, 35.0, 40.0)],
            ),
            (vec![span(0.0, 0.0, 20.0), span(5.0, 30.0, 40.0)], vec![span(0.0, 0.0, 20.0)]),
            (vec![span(-2.0, 0.0, 20.0)], vec![span(0.0, 2.0, 20.0)]),
            (vec![span(3.0, 0.0, None), span(60.0, 0.0, 9.0)], vec![span(3.0, 0.0, None)]),
        ];
        for (spans, expected) in table {
            let arranged = arrange(spans.clone());
            assert_eq!(arranged, expected, "{spans:?}");
            assert!(are_arranged(&arranged));
        }
    }

    #[test]
    fn hostile_spans_are_left_out() {
        let hostile = [
            span(f64::NAN, 0.0, 1.0),
            span(f64::INFINITY, 0.0, 1.0),
            span(0.0, f64::NEG_INFINITY, 1.0),
            span(0.0, 0.0, f64::NAN),
            span(0.0, -5.0, 1.0),
            span(0.0, 5.0, 5.0),
            span(0.0, 5.0, 4.0),
            span(1e300, 0.0, 1.0),
            span(0.0, 0.0, 1e9),
            span(-1e300, 0.0, 1.0),
        ];
        assert_eq!(arrange(hostile), []);
        for span in hostile {
            assert!(!are_arranged(&[span]), "{span:?}");
        }
        let many = (0..5000).map(|n| span(f64::from(n), f64::from(n), f64::from(n) + 1.0));
        assert_eq!(arrange(many).len(), MAX_SPANS);
        assert!(!are_arranged(&[span(0.0, 0.0, 20.0), span(10.0, 30.0, 40.0)]));
    }

    #[test]
    fn kinds_have_names() {
        for kind in [
            StreamKind::Podcast,
            StreamKind::Camera,
            StreamKind::Audio,
            StreamKind::Unknown,
            StreamKind::Screen,
        ] {
            assert_eq!(StreamKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(StreamKind::from_name("x"), None);
    }
}
