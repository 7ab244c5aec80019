//! Finds a query's words in a passage: the segment to play, and the snippet to show.
//!
//! PostgreSQL found the passage. It does not say where in it the words are, so they are compared again here, by
//! the stems that PostgreSQL makes of them.

use std::collections::HashMap;
use std::ops::Range;

use super::query::{Query, Term};
use super::words::words;

/// Longest snippet in characters, without marks.
const MAX_SNIPPET_CHARS: usize = 240;
/// Characters before the first match in a snippet of a long segment.
const CHARS_BEFORE_MATCH: usize = 60;

/// The stem of each word, by one configuration. Stop words have none.
pub(super) type Stems = HashMap<String, Option<String>>;

/// Where a passage has the query's words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// The segment with the most of the terms; the first of several.
    pub(super) segment: usize,
    /// The segment where the match ends that begins there.
    pub(super) last_segment: usize,
    /// HTML: escaped text, with `<mark>` around the matches.
    pub(super) snippet: String,
}

/// A word of a passage.
struct Spot {
    segment: usize,
    folded: String,
    /// Bytes in the segment's text.
    range: Range<usize>,
}

/// Words of the segments that may match the query: those that begin like one of its words. A stem begins like
/// its word.
pub(super) fn candidates(texts: &[String], query: &Query) -> Vec<String> {
    let begins: Vec<char> =
        query.terms.iter().flat_map(|term| &term.words).filter_map(|word| word.chars().next()).collect();
    let all = texts.iter().flat_map(|text| words(text)).map(|word| word.folded);
    all.filter(|word| word.starts_with(begins.as_slice())).collect()
}

/// Locates the query in the texts of a passage's segments.
pub(super) fn place(texts: &[String], query: &Query, stems: &Stems) -> Place {
    let spots: Vec<Spot> = (0..)
        .zip(texts)
        .flat_map(|(segment, text)| {
            words(text).into_iter().map(move |word| Spot { segment, folded: word.folded, range: word.range })
        })
        .collect();
    // Each match: its term and its first and last spot.
    let mut matches: Vec<(usize, usize, usize)> = Vec::new();
    for (number, term) in query.terms.iter().enumerate().filter(|(_, term)| !term.is_excluded) {
        let is_match = |at: &usize| begins_at(&spots[*at..], term, stems);
        let found = (0..(spots.len() + 1).saturating_sub(term.words.len())).filter(is_match);
        matches.extend(found.map(|at| (number, at, at + term.words.len() - 1)));
    }
    let terms_in = |segment: usize| {
        let begin_here = matches.iter().filter(|(_, first, _)| spots[*first].segment == segment);
        let mut terms: Vec<usize> = begin_here.map(|(term, ..)| *term).collect();
        terms.sort_unstable();
        terms.dedup();
        terms.len()
    };
    let segment = (0..texts.len()).rev().max_by_key(|segment| terms_in(*segment)).unwrap_or(0);
    let here = matches.iter().filter(|(_, first, _)| spots[*first].segment == segment);
    let last_segment = here.map(|(.., last)| spots[*last].segment).max().unwrap_or(segment);
    let marked: Vec<&Spot> = {
        let mut is_marked = vec![false; spots.len()];
        for (_, first, last) in &matches {
            is_marked[*first..=*last].fill(true);
        }
        spots.iter().zip(is_marked).filter(|(_, is_marked)| *is_marked).map(|(spot, _)| spot).collect()
    };
    Place { segment, last_segment, snippet: snippet(texts, segment, &marked) }
}

fn begins_at(spots: &[Spot], term: &Term, stems: &Stems) -> bool {
    let stem = |word: &String| stems.get(word).and_then(Option::as_ref);
    let last = term.words.len() - 1;
    let mut has_stem = false;
    let fits = term.words.iter().zip(spots).enumerate().all(|(at, (word, spot))| {
        let is_stop_word = stem(word).is_none();
        has_stem |= !is_stop_word;
        let is_same = stem(&spot.folded).is_some_and(|found| stem(word) == Some(found));
        let goes_on = term.is_prefix && at == last && spot.folded.starts_with(word.as_str());
        // PostgreSQL counts the stop words of a phrase and ignores which they are.
        is_stop_word || is_same || goes_on
    });
    fits && has_stem
}

/// The segment with as many of its neighbours as fit, with marks.
fn snippet(texts: &[String], segment: usize, marked: &[&Spot]) -> String {
    let Some(own) = texts.get(segment) else { return String::new() };
    let length = |text: &str| text.chars().count();
    let (mut from, mut to, mut chars) = (segment, segment + 1, length(own));
    while to < texts.len() && chars + 1 + length(&texts[to]) <= MAX_SNIPPET_CHARS {
        chars += 1 + length(&texts[to]);
        to += 1;
    }
    while from > 0 && chars + 1 + length(&texts[from - 1]) <= MAX_SNIPPET_CHARS {
        from -= 1;
        chars += 1 + length(&texts[from]);
    }
    let shown = from..to;
    let parts = shown.map(|number| {
        let ranges = marked.iter().filter(|spot| spot.segment == number).map(|spot| spot.range.clone());
        let ranges: Vec<Range<usize>> = ranges.collect();
        excerpt(&texts[number], &ranges)
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// A text with marks, cut around its first match if it is longer than a snippet.
fn excerpt(text: &str, ranges: &[Range<usize>]) -> String {
    let first = ranges.first().map_or(0, |range| range.start);
    let is_long = text.chars().count() > MAX_SNIPPET_CHARS;
    let begin = if is_long { step_back(text, first) } else { 0 };
    let end = text[begin..].char_indices().nth(MAX_SNIPPET_CHARS).map_or(text.len(), |(at, _)| begin + at);
    let mut out = String::from(if begin > 0 { "… " } else { "" });
    let mut at = begin;
    for range in ranges.iter().filter(|range| range.start >= begin && range.end <= end) {
        escape(&mut out, &text[at..range.start]);
        out.push_str("<mark>");
        escape(&mut out, &text[range.clone()]);
        out.push_str("</mark>");
        at = range.end;
    }
    escape(&mut out, &text[at..end]);
    if end < text.len() {
        out.push('…');
    }
    out
}

/// The begin of a word some characters before `at`.
fn step_back(text: &str, at: usize) -> usize {
    let before = &text[..at];
    let Some((start, _)) = before.char_indices().rev().nth(CHARS_BEFORE_MATCH) else { return 0 };
    before[start..].find(' ').map_or(start, |blank| start + blank + 1)
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A passage and a query, with a stemmer that drops a final `s` and knows two stop words.
    fn placed(texts: &[&str], query: &str) -> Place {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let query: Query = query.parse().expect("a query");
        let mut known = candidates(&texts, &query);
        known.extend(query.terms.iter().flat_map(|term| term.words.clone()));
        let stem = |word: &String| {
            (!["the", "of"].contains(&word.as_str())).then(|| word.trim_end_matches('s').to_owned())
        };
        let stems: Stems = known.into_iter().map(|word| (word.clone(), stem(&word))).collect();
        place(&texts, &query, &stems)
    }

    #[test]
    fn the_segment_with_the_most_terms_is_played() {
        let texts = ["Waves are here.", "A wave of heat.", "Heat and waves & <light>.", "Heat."];
        let found = placed(&texts, "heat wave ");
        assert_eq!((found.segment, found.last_segment), (1, 1));
        assert_eq!(
            found.snippet,
            "<mark>Waves</mark> are here. A <mark>wave</mark> of <mark>heat</mark>. <mark>Heat</mark> and \
             <mark>waves</mark> &amp; &lt;light&gt;. <mark>Heat</mark>."
        );
    }

    #[test]
    fn a_phrase_is_marked_only_as_a_whole_and_may_cross_segments() {
        let texts = ["Heat, then a wave.", "We talk of heat", "waves today."];
        let found = placed(&texts, "\"heat wave\"");
        assert_eq!((found.segment, found.last_segment), (1, 2));
        assert_eq!(
            found.snippet,
            "Heat, then a wave. We talk of <mark>heat</mark> <mark>waves</mark> today."
        );
        assert_eq!(
            placed(&["end of the world"], "\"end the the world\"").snippet.matches("<mark>").count(),
            4
        );
    }

    #[test]
    fn prefixes_and_characters_are_marked() {
        assert_eq!(placed(&["Our thermometer"], "therm").snippet, "Our <mark>thermometer</mark>");
        assert_eq!(placed(&["学习傅里叶变换"], "傅里").snippet, "学习<mark>傅</mark><mark>里</mark>叶变换");
        assert_eq!(placed(&["Nothing"], "heat").snippet, "Nothing");
    }

    #[test]
    fn a_long_segment_is_cut_around_the_match() {
        let text = format!("{} heat {}", "ab ".repeat(200), "cd ".repeat(200));
        let snippet = placed(&[&text], "heat").snippet;
        assert!(snippet.starts_with("… ab ab") && snippet.ends_with('…'), "{snippet}");
        assert!(snippet.contains("<mark>heat</mark>") && snippet.chars().count() < 270, "{snippet}");
    }
}
