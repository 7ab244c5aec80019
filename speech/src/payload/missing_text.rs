//! Finds words that an answer's text has and its segments lack, and puts them where they belong.

use std::collections::HashMap;
use std::ops::Range;

use crate::gap::{Gap, GapReason};
use crate::raw_transcript::RawSegment;
use crate::tokens::{Token, tokens};

/// Largest share of the text's words that segments may lack unmarked.
const MAX_LOST_SHARE: f64 = 0.05;

/// Most cells of the alignment's table, two bytes each. Ten minutes of speech take 2,000 words or 4,000
/// characters.
const MAX_CELLS: usize = 32_000_000;

/// Shortest time between two segments that can hold words, in seconds.
const MIN_SECONDS: f64 = 0.3;

/// Adds what `text` has and the segments lack, and sorts them. Returns the places as gaps if that is more than
/// 5 % of its words.
pub(super) fn restore(
    mut segments: Vec<RawSegment>,
    text: &str,
    seconds: f64,
) -> (Vec<RawSegment>, Vec<Gap>) {
    segments.sort_by(|one, other| one.start.total_cmp(&other.start));
    let (written, spoken) = (tokens(text), spoken(&segments));
    let Some(holes) = holes(&written, &spoken) else {
        let lost = written.len().saturating_sub(spoken.len());
        let gap = Gap { start: 0.0, end: seconds, reason: GapReason::LostWords };
        let is_lost = lost as f64 > MAX_LOST_SHARE * written.len() as f64;
        return (segments, if is_lost { vec![gap] } else { Vec::new() });
    };
    let lost: usize = holes.iter().map(|hole| hole.written.len() - hole.spoken.len()).sum();
    let mut gaps = Vec::with_capacity(holes.len());
    let mut added = Vec::new();
    // Backwards: an insertion moves what follows it in the same segment.
    for hole in holes.iter().rev() {
        let first = written[hole.written.start].range.start;
        let missing = text[first..written[hole.written.end - 1].range.end].trim();
        let before = hole.spoken.end.checked_sub(1).map(|at| &spoken[at]);
        let after = spoken.get(hole.spoken.end);
        let start = before.map_or(0.0, |place| segments[place.segment].end);
        let end = after.map_or(seconds, |place| segments[place.segment].start);
        let is_within = before.zip(after).is_some_and(|(one, other)| one.segment == other.segment);
        if !is_within && end - start >= MIN_SECONDS {
            added.push(RawSegment { start, end, text: missing.to_owned() });
            gaps.push(Gap { start, end, reason: GapReason::LostWords });
        } else if let Some((place, at)) =
            after.filter(|_| is_within).map(|place| (place, place.token.range.start)).or_else(|| {
                before.or(after).map(|place| {
                    (place, if before.is_some() { segments[place.segment].text.len() } else { 0 })
                })
            })
        {
            let segment = &mut segments[place.segment];
            segment.text.insert_str(at, &format!(" {missing} "));
            gaps.push(Gap { start: segment.start, end: segment.end, reason: GapReason::LostWords });
        }
    }
    segments.extend(added);
    segments.sort_by(|one, other| one.start.total_cmp(&other.start));
    gaps.reverse();
    let is_lost = lost as f64 > MAX_LOST_SHARE * written.len() as f64;
    (segments, if is_lost { gaps } else { Vec::new() })
}

/// A token of a segment.
struct Place {
    segment: usize,
    token: Token,
}

fn spoken(segments: &[RawSegment]) -> Vec<Place> {
    let each = segments.iter().enumerate();
    each.flat_map(|(segment, said)| tokens(&said.text).into_iter().map(move |token| Place { segment, token }))
        .collect()
}

/// Tokens of the text in whose place the segments have none, or far fewer.
struct Hole {
    written: Range<usize>,
    spoken: Range<usize>,
}

/// The holes, in order. `None` if the texts are too long to be aligned.
fn holes(written: &[Token], spoken: &[Place]) -> Option<Vec<Hole>> {
    let (wanted, given) = interned(written, spoken);
    let is_same = |one: usize, other: usize| wanted[one] == given[other];
    let least = written.len().min(spoken.len());
    let front = (0..least).take_while(|&at| is_same(at, at)).count();
    let back = (1..=least - front).take_while(|&at| is_same(written.len() - at, spoken.len() - at)).count();
    let (rows, columns) = (written.len() - front - back, spoken.len() - front - back);
    if (rows + 1).saturating_mul(columns + 1) > MAX_CELLS {
        return None;
    }
    let matches = longest_common(&wanted[front..front + rows], &given[front..front + columns]);
    let mut holes = Vec::new();
    let (mut row, mut column) = (0, 0);
    for (next_row, next_column) in matches.into_iter().chain([(rows, columns)]) {
        let (missing, instead) = (next_row - row, next_column - column);
        let hole =
            Hole { written: front + row..front + next_row, spoken: front + column..front + next_column };
        // A few words in place of others are a matter of spelling, and digits alone may be a time stamp.
        let is_word = |token: &Token| token.plain.contains(char::is_alphabetic);
        let is_missing = if instead == 0 { missing > 0 } else { missing >= 2 * instead + 3 };
        if is_missing && written[hole.written.clone()].iter().any(is_word) {
            holes.push(hole);
        }
        (row, column) = (next_row + 1, next_column + 1);
    }
    for at in 0..holes.len() {
        let from = at.checked_sub(1).map_or(0, |before| holes[before].written.end);
        let to = holes.get(at + 1).map_or(written.len(), |next| next.written.start);
        slide_to_seam(&mut holes[at], written, spoken, from..to);
    }
    Some(holes)
}

/// A number for each token, the same for the same words. Numbers are faster to compare than words.
fn interned(written: &[Token], spoken: &[Place]) -> (Vec<u32>, Vec<u32>) {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut number = |plain| {
        let next = u32::try_from(numbers.len()).expect("fewer words than bytes in an answer");
        *numbers.entry(plain).or_insert(next)
    };
    let wanted = written.iter().map(|token| number(token.plain.as_str())).collect();
    let given = spoken.iter().map(|place| number(place.token.plain.as_str())).collect();
    (wanted, given)
}

/// Moves a hole between two segments where the same words stand at both of its ends: "The second part. The" is
/// missing after "The" as well as "The second part." before it. It stays within the written tokens `limits`.
fn slide_to_seam(hole: &mut Hole, written: &[Token], spoken: &[Place], limits: Range<usize>) {
    if !hole.spoken.is_empty() {
        return;
    }
    let is_seam = |at: usize| at == 0 || at == spoken.len() || spoken[at - 1].segment != spoken[at].segment;
    let is_same = |one: usize, other: usize| written[one].plain == written[other].plain;
    let (Range { start, end }, at) = (hole.written.clone(), hole.spoken.start);
    let back = (0..=(start - limits.start).min(at))
        .take_while(|&by| by == 0 || is_same(start - by, end - by))
        .find(|&by| is_seam(at - by));
    if let Some(by) = back {
        (hole.written, hole.spoken) = (start - by..end - by, at - by..at - by);
        return;
    }
    let forth = (0..=(limits.end - end).min(spoken.len() - at))
        .take_while(|&by| by == 0 || is_same(start + by - 1, end + by - 1))
        .find(|&by| is_seam(at + by));
    if let Some(by) = forth {
        (hole.written, hole.spoken) = (start + by..end + by, at + by..at + by);
    }
}

/// The pairs of a longest common subsequence, in order.
fn longest_common(one: &[u32], other: &[u32]) -> Vec<(usize, usize)> {
    let (rows, columns) = (one.len(), other.len());
    let width = columns + 1;
    // The length for what follows each pair. A row of the table is shorter than 65,536.
    let mut lengths = vec![0_u16; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let at = row * width + column;
            lengths[at] = match one[row] == other[column] {
                true => lengths[at + width + 1].saturating_add(1),
                false => lengths[at + width].max(lengths[at + 1]),
            };
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < rows && column < columns {
        let at = row * width + column;
        if one[row] == other[column] {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if lengths[at + width] >= lengths[at + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "One is rivers. Two is clouds. Three is bees. Four is trains.";

    fn restored(segments: &[(f64, f64, &str)], text: &str) -> (Vec<String>, Vec<(f64, f64)>) {
        let segments =
            segments.iter().map(|&(start, end, text)| RawSegment { start, end, text: text.to_owned() });
        let (segments, gaps) = restore(segments.collect(), text, 24.0);
        assert!(gaps.iter().all(|gap| gap.reason == GapReason::LostWords));
        let shown = segments.iter().map(|segment| {
            format!(
                "{}-{} {}",
                segment.start,
                segment.end,
                segment.text.split_whitespace().collect::<Vec<_>>().join(" ")
            )
        });
        (shown.collect(), gaps.iter().map(|gap| (gap.start, gap.end)).collect())
    }

    #[test]
    fn a_missing_segment_is_taken_from_the_text() {
        let (one, two, three, four) = (
            (0.0, 3.0, " One is rivers."),
            (6.0, 9.0, " Two is clouds."),
            (12.0, 15.0, " Three is bees."),
            (18.0, 20.0, " Four is trains."),
        );
        let whole = restored(&[one, two, three, four], TEXT);
        assert_eq!((whole.0.len(), whole.1), (4, vec![]));
        for (segments, expected, gap) in [
            (vec![two, three, four], "0-6 One is rivers.", (0.0, 6.0)),
            (vec![one, three, four], "3-12 Two is clouds.", (3.0, 12.0)),
            (vec![one, two, four], "9-18 Three is bees.", (9.0, 18.0)),
            (vec![four, one, two], "9-18 Three is bees.", (9.0, 18.0)),
            (vec![one, two, three], "15-24 Four is trains.", (15.0, 24.0)),
            (vec![one, four], "3-18 Two is clouds. Three is bees.", (3.0, 18.0)),
        ] {
            let (shown, gaps) = restored(&segments, TEXT);
            assert!(shown.contains(&expected.to_owned()), "{shown:?}");
            assert_eq!(gaps, [gap]);
            let words =
                shown.iter().map(|each| each.split_once(' ').unwrap().1).collect::<Vec<_>>().join(" ");
            assert_eq!(words, TEXT);
        }
    }

    #[test]
    fn sentences_that_share_words_keep_their_own() {
        let sentence = |word: &str| format!("The {word} part is about {word} and more.");
        let words = ["first", "second", "third", "last"].map(sentence);
        for missing in 0..4 {
            let segments: Vec<_> = (0..4)
                .filter(|number| *number != missing)
                .map(|number| (number as f64 * 6.0, number as f64 * 6.0 + 3.0, words[number].as_str()))
                .collect();
            let (shown, gaps) = restored(&segments, &words.join(" "));
            let texts: Vec<&str> = shown.iter().map(|each| each.split_once(' ').unwrap().1).collect();
            assert_eq!(texts, words.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(gaps.len(), 1);
        }
    }

    #[test]
    fn words_missing_within_a_segment_are_put_back() {
        let (shown, gaps) =
            restored(&[(0.0, 12.0, "One is rivers. Two bees."), (18.0, 20.0, "Four is trains.")], TEXT);
        assert_eq!(shown[0], "0-12 One is rivers. Two is clouds. Three is bees.");
        assert_eq!(gaps, [(0.0, 12.0)]);
        // No time between the two.
        let (shown, _) = restored(&[(0.0, 6.0, "One is rivers."), (6.0, 20.0, "Four is trains.")], TEXT);
        assert_eq!(shown[0], "0-6 One is rivers. Two is clouds. Three is bees.");
    }

    #[test]
    fn little_is_put_back_unmarked_and_other_spellings_stay() {
        let long = (0..40).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        let (shown, gaps) = restored(&[(0.0, 20.0, long.trim_end_matches("w39"))], &long);
        assert_eq!((shown[1].as_str(), gaps.len()), ("20-24 w39", 0));
        for (segment, text) in [
            ("It costs twenty five dollars.", "It costs $25."),
            ("It costs 25 dollars.", "It costs twenty five dollars."),
            ("It's the end.", "it s THE end"),
            ("Two is clouds. Two is clouds.", "Two is clouds."),
            ("Alles hat ein Ende.", "Everything has an end."),
            ("Hello.", "[00:00.000 --> 00:02.000] Hello."),
            ("Hello.", ""),
        ] {
            let (shown, gaps) = restored(&[(0.0, 1.0, segment)], text);
            assert_eq!((shown, gaps.len()), (vec![format!("0-1 {segment}")], 0), "{text}");
        }
    }

    #[test]
    fn texts_too_long_to_align_are_compared_by_length() {
        let words = |count: usize, from: usize| {
            (0..count).map(|n| format!("x{}y", (n * from) % 9973)).collect::<Vec<_>>().join(" ")
        };
        let (short, long) = (words(6000, 7), words(7000, 11));
        assert_eq!(restored(&[(0.0, 1.0, &short)], &long).1, [(0.0, 24.0)]);
    }
}
