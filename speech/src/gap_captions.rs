//! Captions that say where a transcript lacks words.

use super::gap::{Gap, GapReason};
use super::transcript::Segment;

/// Longest mark in seconds, as of any caption.
const MARK_SECONDS: f64 = 7.0;

/// Mark of a segment with estimated times.
const ESTIMATED: &str = "[times estimated] ";

/// The segments of a transcript, sorted by start. A bracketed mark stands at the start of each gap without
/// words, and in the segment at each gap with words.
pub(super) fn with_marks(segments: &[Segment], gaps: &[Gap]) -> Vec<Segment> {
    let mut marked = segments.to_vec();
    for gap in gaps {
        match gap.reason {
            GapReason::LostWords => {
                let nearest = segment_at(segments, gap).map(|at| &mut marked[at].text);
                if let Some(text) = nearest.filter(|text| !text.starts_with(ESTIMATED)) {
                    text.insert_str(0, ESTIMATED);
                }
            }
            GapReason::NoWords => {
                let text = format!("[no transcript for {}-{}]", clock(gap.start), clock(gap.end));
                let end = gap.end.min(gap.start + MARK_SECONDS);
                marked.push(Segment { id: 0, start: gap.start, end, text });
            }
        }
    }
    marked.sort_by(|one, other| one.start.total_cmp(&other.start));
    marked
}

/// The segment that overlaps the gap most, or the nearest one.
fn segment_at(segments: &[Segment], gap: &Gap) -> Option<usize> {
    // Negative for the distance between the two.
    let overlap = |segment: &Segment| segment.end.min(gap.end) - segment.start.max(gap.start);
    // `rev`, because `max_by` takes the last of several.
    (0..segments.len())
        .rev()
        .max_by(|&one, &other| overlap(&segments[one]).total_cmp(&overlap(&segments[other])))
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

    #[test]
    fn words_with_estimated_times_are_marked_where_they_are() {
        let segments = [(0.0, 6.0), (6.5, 20.0), (22.0, 30.0)].map(|(start, end)| Segment {
            id: 0,
            start,
            end,
            text: "A.".to_owned(),
        });
        for (start, end, expected) in [
            // The segment began before the gap, in it, around it, near it.
            (7.0, 21.0, 1),
            (5.5, 20.0, 1),
            (21.5, 29.0, 2),
            (10.0, 10.0, 1),
            (6.1, 6.1, 0),
            (20.9, 21.0, 1),
            (40.0, 40.0, 2),
        ] {
            let gap = Gap { start, end, reason: GapReason::LostWords };
            let shown = with_marks(&segments, &[gap, gap]);
            let texts: Vec<_> = shown.iter().map(|segment| segment.text.as_str()).collect();
            let mut all = ["A."; 3];
            all[expected] = "[times estimated] A.";
            assert_eq!(texts, all, "{start}-{end}");
        }
        let gap = Gap { start: 0.0, end: 0.0, reason: GapReason::LostWords };
        assert_eq!(with_marks(&[], &[gap]), []);
    }
}
