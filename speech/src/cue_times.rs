//! Puts segments in order, and gives each its own time.

use super::raw_transcript::RawSegment;
use super::tokens::tokens;

/// Shortest segment that is left alone, in seconds.
const MIN_SECONDS: f64 = 0.1;

/// Time to read a character, and the shortest and longest time given to a segment that has none, in seconds.
const SECONDS_PER_CHARACTER: f64 = 0.05;
const READABLE: (f64, f64) = (0.5, 3.0);

/// Sorts segments within a recording of `duration` seconds, drops duplicates, ends each before the next
/// begins, and lengthens those without a length. Merges those for which there is no time.
pub(super) fn tidy(mut segments: Vec<RawSegment>, duration: f64) -> Vec<RawSegment> {
    for segment in &mut segments {
        // NaN becomes 0 here.
        segment.start = segment.start.max(0.0).min(duration);
        segment.end = segment.end.max(segment.start).min(duration);
    }
    segments.sort_by(|one, other| one.start.total_cmp(&other.start));
    let mut kept: Vec<RawSegment> = Vec::with_capacity(segments.len());
    for segment in segments {
        if !kept.iter().rev().take(2).any(|before| is_duplicate(before, &segment)) {
            kept.push(segment);
        }
    }
    end_before_next(&mut kept);
    lengthen(kept, duration)
}

/// True for the same words at the same time, as servers return whose windows overlap.
fn is_duplicate(one: &RawSegment, other: &RawSegment) -> bool {
    let shorter = (one.end - one.start).min(other.end - other.start);
    let common = one.end.min(other.end) - other.start;
    let plain = |text: &str| tokens(text).into_iter().map(|token| token.plain).collect::<Vec<_>>();
    let is_at_same_time = other.start - one.start < MIN_SECONDS && shorter < MIN_SECONDS;
    (is_at_same_time || (shorter > 0.0 && common >= shorter / 2.0)) && plain(&one.text) == plain(&other.text)
}

/// Two people who begin at the same time keep their common time.
fn end_before_next(segments: &mut [RawSegment]) {
    for at in 1..segments.len() {
        let next = segments[at].start;
        let segment = &mut segments[at - 1];
        if next - segment.start >= MIN_SECONDS {
            segment.end = segment.end.min(next);
        }
    }
}

fn lengthen(segments: Vec<RawSegment>, duration: f64) -> Vec<RawSegment> {
    let mut done: Vec<RawSegment> = Vec::with_capacity(segments.len());
    let starts: Vec<f64> = segments.iter().skip(1).map(|next| next.start).chain([duration]).collect();
    for (mut segment, next) in segments.into_iter().zip(starts) {
        if segment.end - segment.start < MIN_SECONDS {
            let characters = segment.text.chars().count() as f64;
            let wanted = (characters * SECONDS_PER_CHARACTER).clamp(READABLE.0, READABLE.1);
            segment.end = (segment.start + wanted).min(next);
            if segment.end - segment.start < MIN_SECONDS {
                let before = done.iter().rev().take(2).map(|before| before.end).fold(0.0, f64::max);
                segment.start = (segment.end - wanted).max(before).min(segment.start);
            }
        }
        match done.last_mut().filter(|_| segment.end - segment.start < MIN_SECONDS) {
            Some(before) => {
                before.text = format!("{} {}", before.text, segment.text);
                before.end = before.end.max(segment.end);
            }
            None => done.push(segment),
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tidied(segments: &[(f64, f64, &str)]) -> Vec<String> {
        let segments =
            segments.iter().map(|&(start, end, text)| RawSegment { start, end, text: text.to_owned() });
        let segments = tidy(segments.collect(), 20.0);
        segments.iter().map(|each| format!("{:.1}-{:.1} {}", each.start, each.end, each.text)).collect()
    }

    #[test]
    fn order_and_overlaps_are_fixed() {
        assert_eq!(
            tidied(&[(5.0, 9.0, "b"), (0.0, 6.0, "a"), (12.0, 11.0, "c"), (14.0, 30.0, "d")]),
            ["0.0-5.0 a", "5.0-9.0 b", "12.0-12.5 c", "14.0-20.0 d"]
        );
        assert_eq!(tidied(&[(5.0, 9.0, "he"), (5.0, 8.0, "she")]), ["5.0-9.0 he", "5.0-8.0 she"]);
    }

    #[test]
    fn duplicates_are_dropped_and_repetitions_stay() {
        assert_eq!(
            tidied(&[
                (0.0, 3.0, "Yes, yes."),
                (0.1, 3.1, "yes yes"),
                (3.1, 5.0, "Yes, yes."),
                (5.0, 7.0, "No.")
            ]),
            ["0.0-3.0 Yes, yes.", "3.1-5.0 Yes, yes.", "5.0-7.0 No."]
        );
        assert_eq!(tidied(&[(2.0, 2.0, "a"), (2.0, 2.0, "a")]), ["2.0-2.5 a"]);
    }

    #[test]
    fn a_segment_without_length_gets_one_or_joins_its_neighbour() {
        assert_eq!(
            tidied(&[(2.0, 2.0, &"x".repeat(40)), (9.0, 9.0, "y")]),
            [format!("2.0-4.0 {}", "x".repeat(40)), "9.0-9.5 y".to_owned()]
        );
        // From the time before it.
        assert_eq!(
            tidied(&[(0.0, 3.0, "a"), (5.0, 5.0, "b"), (5.0, 7.0, "c")]),
            ["0.0-3.0 a", "4.5-5.0 b", "5.0-7.0 c"]
        );
        assert_eq!(
            tidied(&[(0.0, 5.0, "a"), (5.0, 5.0, "b"), (5.0, 7.0, "c")]),
            ["0.0-5.0 a b", "5.0-7.0 c"]
        );
        assert_eq!(
            tidied(&[(0.0, 20.0, "a"), (25.0, 26.0, "b"), (f64::NAN, f64::NAN, "c")]),
            ["0.0-20.0 a", "0.0-20.0 c b"]
        );
    }
}
