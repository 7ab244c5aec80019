//! Takes listed terms from one transcript of a recording over into another.
//!
//! A prompt makes Whisper spell listed terms right, and hear other words wrong here and there. So the words come from
//! a pass without the prompt, and only the terms from a second pass with it.

use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::prompt::Prompt;
use crate::raw_transcript::RawSegment;
use crate::tokens::{Token, tokens};

/// Largest difference between a term and the words it replaces: changed letters, as a share of the longer of the two.
/// "the extra" is 0.63 from "Dijkstra".
const MAX_DIFFERENCE: f64 = 0.7;

/// Most words that one term replaces, beyond its own.
const MAX_MORE_WORDS: usize = 3;

/// Endings that a listed term may have in speech, as in "eigenvalues".
const ENDINGS: [&str; 4] = ["", "s", "es", "n"];

/// Difference between a term and as many other characters of a script without blanks, where words that sound alike may
/// share none.
const CHARACTERS_DIFFERENCE: f64 = 0.5;

/// A word of a transcript, or a character of a script without blanks.
#[derive(Debug, Clone)]
struct Word {
    segment: usize,
    /// Place in the segment's text, without punctuation around it.
    bytes: Range<usize>,
    /// Lower case, letters and digits only.
    plain: String,
    is_character: bool,
}

/// Replaces words of `segments` by the listed terms that `prompted` has in their place, where both sound alike. `prompted`
/// is a transcript of the same sound, made with the prompt.
pub(super) fn adopt(segments: &mut [RawSegment], prompted: &[RawSegment], prompt: &Prompt) {
    let (own, other) = (words(segments), words(prompted));
    let plain = |words: &[Word]| words.iter().map(|word| word.plain.clone()).collect::<Vec<_>>();
    let (own_plain, other_plain) = (plain(&own), plain(&other));
    let changes: Vec<DiffOp> = capture_diff_slices(Algorithm::Myers, &own_plain, &other_plain);
    let mut replacements = Vec::new();
    for term in find_terms(&other_plain, prompt) {
        let place = place_of(&term, &changes, &own, &other);
        replacements.extend(place.zip(spelling(prompted, &other[term])));
    }
    // From the last to the first: places before a replacement stay valid.
    replacements.sort_by_key(|(place, _)| place.start);
    replacements.dedup_by(|later, earlier| later.0.start < earlier.0.end);
    for (place, spelling) in replacements.into_iter().rev() {
        let (first, last) = (&own[place.start], &own[place.end - 1]);
        let text = &mut segments[first.segment].text;
        text.replace_range(first.bytes.start..last.bytes.end, &spelling);
    }
}

/// Where listed terms are among the words, without overlaps.
fn find_terms(words: &[String], prompt: &Prompt) -> Vec<Range<usize>> {
    let plain_words = |term| tokens(term).into_iter().map(|token| token.plain).collect::<Vec<_>>();
    let listed: Vec<Vec<String>> = prompt.all().map(plain_words).collect();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    while start < words.len() {
        let fits = listed.iter().filter(|term| is_term_at(&words[start..], term)).map(Vec::len).max();
        found.extend(fits.map(|length| start..start + length));
        start += fits.unwrap_or(1);
    }
    found
}

fn is_term_at(words: &[String], term: &[String]) -> bool {
    let Some((last, lead)) = term.split_last() else { return false };
    let Some(said) = words.get(lead.len()) else { return false };
    words.starts_with(lead)
        && said.strip_prefix(last.as_str()).is_some_and(|ending| ENDINGS.contains(&ending))
}

/// A term as the transcript with the prompt spells it. `None` if it lies in two segments.
fn spelling(prompted: &[RawSegment], term: &[Word]) -> Option<String> {
    let (first, last) = (term.first()?, term.last()?);
    let text = &prompted[first.segment].text;
    (first.segment == last.segment).then(|| text[first.bytes.start..last.bytes.end].to_owned())
}

/// The words of the transcript without the prompt that a term replaces: a run in one segment, between the words that
/// both transcripts share.
fn place_of(term: &Range<usize>, changes: &[DiffOp], own: &[Word], other: &[Word]) -> Option<Range<usize>> {
    let overlaps = |range: &Range<usize>| range.start < term.end && term.start < range.end;
    let touched = || changes.iter().filter(|change| overlaps(&change.new_range()));
    let start = touched().map(|change| start_of(change, term)).min()?;
    let end = touched().map(|change| end_of(change, term)).max()?;
    let target = &other[term.clone()];
    let longest = term.len() + MAX_MORE_WORDS;
    let runs = (start..end).flat_map(|from| (from + 1..=end.min(from + longest)).map(move |to| from..to));
    runs.map(|run| (difference(&own[run.clone()], target), run))
        // Of two runs as like the term, the longer.
        .min_by(|(one, run), (another, longer)| one.total_cmp(another).then(longer.len().cmp(&run.len())))
        .filter(|(difference, _)| *difference <= MAX_DIFFERENCE)
        .map(|(_, run)| run)
        // A segment keeps its words: no term is moved into another.
        .filter(|run| own[run.start].segment == own[run.end - 1].segment)
}

/// First word of the transcript without the prompt that belongs to a term's part of a change.
fn start_of(change: &DiffOp, term: &Range<usize>) -> usize {
    let shared = matches!(change, DiffOp::Equal { .. });
    let into = if shared { term.start.saturating_sub(change.new_range().start) } else { 0 };
    change.old_range().start + into
}

/// Behind the last word that does.
fn end_of(change: &DiffOp, term: &Range<usize>) -> usize {
    let shared = matches!(change, DiffOp::Equal { .. });
    let behind = if shared { change.new_range().end.saturating_sub(term.end) } else { 0 };
    change.old_range().end - behind
}

/// Changed letters between two runs of words, as a share of the longer.
fn difference(run: &[Word], term: &[Word]) -> f64 {
    let letters = |words: &[Word]| words.iter().map(|word| word.plain.as_str()).collect::<String>();
    let changed = 1.0 - strsim::normalized_levenshtein(&letters(run), &letters(term));
    let are_characters = run.iter().chain(term).all(|word| word.is_character) && run.len() == term.len();
    if are_characters { changed.min(CHARACTERS_DIFFERENCE) } else { changed }
}

fn words(segments: &[RawSegment]) -> Vec<Word> {
    let mut words = Vec::new();
    for (segment, RawSegment { text, .. }) in segments.iter().enumerate() {
        for Token { range, plain, is_character } in tokens(text) {
            let inner = text[range.clone()].trim_end_matches(|c: char| !c.is_alphanumeric());
            let lead = inner.len() - inner.trim_start_matches(|c: char| !c.is_alphanumeric()).len();
            let bytes = range.start + lead..range.start + inner.len();
            words.push(Word { segment, bytes, plain, is_character });
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(texts: &[&str]) -> Vec<RawSegment> {
        texts.iter().map(|text| RawSegment { start: 0.0, end: 1.0, text: (*text).to_owned() }).collect()
    }

    fn adopted(plain: &[&str], prompted: &[&str], terms: &[&str]) -> Vec<String> {
        let mut own = segments(plain);
        adopt(&mut own, &segments(prompted), &Prompt::new(terms));
        own.into_iter().map(|segment| segment.text).collect()
    }

    #[test]
    fn only_listed_terms_are_taken_over() {
        let terms = ["Dijkstra", "Bayesian", "Poisson", "Fourier", "Krebs cycle", "eigenvalue", "Euler"];
        for (plain, prompted, expected) in [
            ("We run the extra on it.", "we ran Dijkstra on it.", "We run Dijkstra on it."),
            ("\"A basin\" would begin.", "Bayesian would begin", "\"A Bayesian\" would begin."),
            ("a poise and distribution", "a Poisson distribution", "a Poisson distribution"),
            ("the freer trans form of", "the Fourier transform of", "the Fourier trans form of"),
            ("the crab cycle, and", "the Krebs cycle and", "the Krebs cycle, and"),
            ("the krebs cycle", "the Krebs cycle", "the Krebs cycle"),
            ("two Eigen values here", "two eigenvalues here", "two eigenvalues here"),
            ("We add a little noise.", "We had a little noise.", "We add a little noise."),
            // Nothing alike was heard there.
            ("as a matter of course", "as a matter of Euler Dijkstra", "as a matter of course"),
            ("a clear view", "a clear Poisson view", "a clear view"),
            ("", "Dijkstra", ""),
            ("Dijkstra", "", "Dijkstra"),
        ] {
            assert_eq!(adopted(&[plain], &[prompted], &terms), [expected], "{plain:?} {prompted:?}");
        }
    }

    #[test]
    fn segments_keep_their_places() {
        let plain = [" The crabs", " cycle of the extra. Then the extra", " poise and"];
        let prompted = [" The Krebs cycle of Dijkstra.", " Then Dijkstra Poisson"];
        let terms = ["Krebs cycle", "Dijkstra", "Poisson"];
        assert_eq!(
            adopted(&plain, &prompted, &terms),
            [" The crabs", " cycle of Dijkstra. Then Dijkstra", " Poisson"]
        );
    }

    #[test]
    fn scripts_without_blanks_are_compared_by_character() {
        assert_eq!(
            adopted(&["我们用富丽叶变换。"], &["我们用傅里叶变换。"], &["傅里叶"]),
            ["我们用傅里叶变换。"]
        );
        assert_eq!(adopted(&["我们用变换。"], &["我们用傅里叶变换。"], &["傅里叶"]), ["我们用变换。"]);
    }
}
