//! Which of two answers for the same piece lacks less.

use std::cmp::Ordering;

use super::coverage::spoken_segments;
use super::gap::{Gap, GapReason};
use super::piece_store::Piece;
use super::raw_transcript::RawSegment;
use super::tokens::tokens;

/// Least share of the first answer's words that the second one must have.
const LEAST_SHARE: f64 = 0.95;

/// True if the second answer has the words of the first and lacks less: first seconds of speech without words,
/// then words without exact times, then seconds in gaps.
pub(super) fn is_better(again: &Piece, first: &Piece) -> bool {
    let (before, after) = (spoken_segments(&first.segments), spoken_segments(&again.segments));
    let is_complete = count(&after) as f64 >= LEAST_SHARE * count(&before) as f64;
    let order = seconds(again, is_silent)
        .total_cmp(&seconds(first, is_silent))
        .then_with(|| untimed(again, &after).cmp(&untimed(first, &before)))
        .then_with(|| seconds(again, |_| true).total_cmp(&seconds(first, |_| true)));
    is_complete && order == Ordering::Less
}

fn is_silent(gap: &Gap) -> bool {
    gap.reason == GapReason::NoWords
}

/// Seconds in some of the gaps.
fn seconds(piece: &Piece, is_counted: impl Fn(&Gap) -> bool) -> f64 {
    piece.gaps.iter().filter(|gap| is_counted(gap)).map(Gap::seconds).sum()
}

fn count(segments: &[RawSegment]) -> usize {
    segments.iter().map(|segment| tokens(&segment.text).len()).sum()
}

/// Words of the segments whose middle is in a gap of lost words.
fn untimed(piece: &Piece, spoken: &[RawSegment]) -> usize {
    let is_untimed = |segment: &&RawSegment| {
        piece.gaps.iter().any(|gap| !is_silent(gap) && gap.covers(segment.start, segment.end))
    };
    spoken.iter().filter(is_untimed).map(|segment| tokens(&segment.text).len()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn piece(segments: &[(f64, f64, String)], gaps: &[(f64, f64, GapReason)]) -> Piece {
        let segments = segments.iter().map(|(start, end, text)| RawSegment {
            start: *start,
            end: *end,
            text: text.clone(),
        });
        let gaps = gaps.iter().map(|&(start, end, reason)| Gap { start, end, reason });
        Piece {
            start: 0,
            end: 100,
            language: String::new(),
            segments: segments.collect(),
            gaps: gaps.collect(),
            requests: 1,
            raw: Value::Null,
            raw_parts: Vec::new(),
        }
    }

    fn words(from: usize, count: usize) -> String {
        (from..from + count).map(|number| format!("w{number}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_poor_second_answer_is_not_better() {
        use GapReason::{LostWords, NoWords};
        let first =
            piece(&[(0.0, 15.0, words(0, 30)), (15.0, 25.0, words(30, 10))], &[(15.0, 25.0, LostWords)]);
        for poor in [
            piece(&[], &[]),
            piece(&[(0.0, 2.0, "Thank you.".to_owned())], &[]),
            piece(&[(0.0, 25.0, words(0, 37))], &[]),
            piece(&[(0.0, 25.0, "Thank you so much. ".repeat(20))], &[]),
            first.clone(),
        ] {
            assert!(!is_better(&poor, &first), "{poor:?}");
        }
        for good in [
            piece(&[(0.0, 25.0, words(0, 38))], &[]),
            // Fewer words without times, although the gap is longer.
            piece(&[(0.0, 12.0, words(0, 35)), (12.0, 25.0, words(35, 5))], &[(12.0, 25.0, LostWords)]),
        ] {
            assert!(is_better(&good, &first), "{good:?}");
            assert!(!is_better(&first, &good), "{good:?}");
        }
        // A loop counts once: what replaces it may be shorter. Words without times are better than none.
        let looped = piece(&[(0.0, 60.0, "Thank you so much. ".repeat(20))], &[(20.0, 60.0, NoWords)]);
        let heard = piece(&[(0.0, 60.0, words(0, 20))], &[(0.0, 60.0, LostWords)]);
        assert!(is_better(&heard, &looped) && !is_better(&looped, &heard));
    }
}
