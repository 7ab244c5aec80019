//! Captions that say where a transcript lacks words.

use super::gap::{Gap, GapReason};
use super::transcript::Segment;

/// Longest mark in seconds, as of any caption.
const MARK_SECONDS: f64 = 7.0;

/// The segments of a transcript, and a bracketed mark at the start of each gap. Sorted by start.
pub(super) fn with_marks(segments: &[Segment], gaps: &[Gap]) -> Vec<Segment> {
    let mut marked = segments.to_vec();
    for gap in gaps {
        let inside = marked.iter_mut().find(|segment| (gap.start..gap.end).contains(&segment.start));
        match inside.filter(|_| gap.reason == GapReason::LostWords) {
            Some(segment) => segment.text.insert_str(0, "[times estimated] "),
            None => {
                let text = format!("[no transcript for {}-{}]", clock(gap.start), clock(gap.end));
                let end = gap.end.min(gap.start + MARK_SECONDS);
                marked.push(Segment { id: 0, start: gap.start, end, text });
            }
        }
    }
    marked.sort_by(|one, other| one.start.total_cmp(&other.start));
    marked
}

/// `HH:MM:SS`, rounded down.
fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let seconds = seconds as u64;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_show_each_gap() {
        let segment = |id, start, end, text: &str| Segment { id, start, end, text: text.to_owned() };
        let segments = [segment(0, 0.0, 70.0, "One."), segment(1, 130.0, 140.0, "Two.")];
        let gaps = [
            Gap { start: 70.4, end: 120.0, reason: GapReason::NoWords },
            Gap { start: 130.0, end: 140.0, reason: GapReason::LostWords },
        ];
        let shown: Vec<_> =
            with_marks(&segments, &gaps).into_iter().map(|cue| (cue.start, cue.end, cue.text)).collect();
        assert_eq!(
            shown,
            [
                (0.0, 70.0, "One.".to_owned()),
                (70.4, 77.4, "[no transcript for 00:01:10-00:02:00]".to_owned()),
                (130.0, 140.0, "[times estimated] Two.".to_owned()),
            ]
        );
    }
}
