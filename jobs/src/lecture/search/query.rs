//! What a user types into the search field.

use std::str::FromStr;

use super::words::{is_word_of_its_own, words};

/// Longest query in characters.
pub const MAX_QUERY_CHARS: usize = 200;

/// Shortest prefix in characters: a shorter one would match much of every transcript.
const MIN_PREFIX_CHARS: usize = 3;

/// A query: all terms must be found, none of the excluded ones.
///
/// `"quoted words"` are a phrase, a `*` at the end of a word makes it a prefix, and a `-` before a term excludes
/// it. The last word is also a prefix, because the user may still type it, unless a blank follows. Anything
/// else between words separates them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(super) terms: Vec<Term>,
}

/// A word or a phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    /// At least one, in lower case. Several must follow one another.
    pub(super) words: Vec<String>,
    /// The last word may go on.
    pub(super) is_prefix: bool,
    /// The term must not be found.
    pub(super) is_excluded: bool,
}

/// Why a query finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// It has no word, or only excluded ones.
    #[error("this needs a word to look for")]
    NoWord,
    /// It is longer than [`MAX_QUERY_CHARS`].
    #[error("this must have at most {MAX_QUERY_CHARS} characters")]
    TooLong,
}

impl InvalidQuery {
    /// A stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoWord => "required",
            Self::TooLong => "too_long",
        }
    }
}

impl FromStr for Query {
    type Err = InvalidQuery;

    fn from_str(text: &str) -> Result<Self, InvalidQuery> {
        if text.chars().count() > MAX_QUERY_CHARS {
            return Err(InvalidQuery::TooLong);
        }
        let mut terms = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let is_excluded = rest.starts_with('-');
            let term = if is_excluded { &rest[1..] } else { rest };
            let (written, after, is_phrase) = match term.strip_prefix(is_quote) {
                Some(quoted) => {
                    let (phrase, after) = quoted.split_once(is_quote).unwrap_or((quoted, ""));
                    (phrase, after, true)
                }
                None => {
                    let end = term.find(|c: char| c.is_whitespace() || is_quote(c)).unwrap_or(term.len());
                    (&term[..end], &term[end..], false)
                }
            };
            let words: Vec<String> = words(written).into_iter().map(|word| word.folded).collect();
            if let Some(last) = words.last() {
                let is_last = after.is_empty() && !is_excluded;
                let is_prefix = !is_phrase && (written.ends_with('*') || is_last) && may_be_prefix(last);
                terms.push(Term { words, is_prefix, is_excluded });
            }
            rest = after.trim_start();
        }
        if terms.iter().all(|term| term.is_excluded) {
            return Err(InvalidQuery::NoWord);
        }
        Ok(Self { terms })
    }
}

fn is_quote(character: char) -> bool {
    matches!(character, '"' | '“' | '”' | '„' | '«' | '»')
}

fn may_be_prefix(word: &str) -> bool {
    word.chars().count() >= MIN_PREFIX_CHARS && !word.contains(is_word_of_its_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The terms as text: `-` excluded, `*` prefix, words of a phrase joined by `_`.
    fn parsed(text: &str) -> String {
        let query: Query = text.parse().expect("a query");
        let terms = query.terms.iter().map(|term| {
            let (not, star) =
                (["", "-"][usize::from(term.is_excluded)], ["", "*"][usize::from(term.is_prefix)]);
            format!("{not}{}{star}", term.words.join("_"))
        });
        terms.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn terms_are_words_phrases_prefixes_and_exclusions() {
        for (text, expected) in [
            ("Fourier", "fourier*"),
            ("Fourier ", "fourier"),
            ("the fast Fourier", "the fast fourier*"),
            ("of", "of"),
            ("\"fast Fourier\"", "fast_fourier"),
            ("“fast Fourier” transform ", "fast_fourier transform"),
            ("\"not closed", "not_closed"),
            ("a\"b c\"d", "a b_c d"),
            ("neuro* net ", "neuro* net"),
            ("ne* net ", "ne net"),
            ("heat -pump -\"cold water\" -ther*", "heat -pump -cold_water -ther*"),
            ("co-operative x", "co_operative x"),
            ("- heat ", "heat"),
            ("--heat x", "-heat x"),
            ("傅里叶", "傅_里_叶"),
            ("\u{0}' OR 1=1; -- :* !( & | <-> \\", "or 1_1"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_query_without_a_word_is_invalid() {
        for text in ["", "  ", "*", "\"\"", "-heat", "!!! ()", "-", "\u{0}", "😀"] {
            assert_eq!(text.parse::<Query>(), Err(InvalidQuery::NoWord), "{text}");
        }
        assert_eq!("é".repeat(200).parse::<Query>().unwrap().terms.len(), 1);
        assert_eq!("é".repeat(201).parse::<Query>(), Err(InvalidQuery::TooLong));
    }
}
