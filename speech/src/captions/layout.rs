//! Lines of a cue.

use super::limits::CHARS_PER_SECOND;
use super::tokens::Token;
use super::width::{LINE, NARROW, width_of};

fn width(text: &str) -> usize {
    text.chars().map(width_of).sum()
}

/// Milliseconds that a viewer needs to read the tokens.
pub(super) fn reading_milliseconds(tokens: &[Token]) -> i64 {
    let width: usize = line(tokens).chars().map(width_of).sum();
    i64::try_from(width.div_ceil(NARROW)).unwrap_or(i64::MAX).saturating_mul(1000) / CHARS_PER_SECOND
}

/// True if the tokens fit into two lines.
pub(super) fn fits<'a>(tokens: impl Iterator<Item = &'a Token>) -> bool {
    let (mut lines, mut used) = (1, 0);
    for token in tokens {
        let blank = if used > 0 && token.has_blank { NARROW } else { 0 };
        let added = width(&token.text);
        if used + blank + added <= LINE {
            used += blank + added;
        } else {
            lines += 1;
            used = added;
        }
    }
    lines <= 2
}

/// The text of a line.
fn line(tokens: &[Token]) -> String {
    let mut line = String::new();
    for (at, token) in tokens.iter().enumerate() {
        if at > 0 && token.has_blank {
            line.push(' ');
        }
        line.push_str(&token.text);
    }
    line
}

/// One line if the tokens fit into one, else two of about the same length, cut after punctuation where there is
/// some in the middle.
pub(super) fn lines(tokens: &[Token]) -> Vec<String> {
    let whole = line(tokens);
    if width(&whole) <= LINE {
        return vec![whole];
    }
    let cuts = (1..tokens.len()).filter_map(|at| {
        let (first, second) = (line(&tokens[..at]), line(&tokens[at..]));
        let (one, other) = (width(&first), width(&second));
        let bonus = if tokens[at - 1].text.ends_with(ends_clause) { LINE / 3 } else { 0 };
        let cost = one.abs_diff(other).saturating_sub(bonus);
        (one <= LINE && other <= LINE).then_some((cost, first, second))
    });
    cuts.min_by_key(|(cost, ..)| *cost).map_or_else(|| vec![whole], |(_, first, second)| vec![first, second])
}

/// Punctuation at the end of a sentence.
pub(super) fn ends_sentence(character: char) -> bool {
    matches!(character, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '।' | '؟' | '۔')
}

/// Punctuation at the end of a sentence or a clause.
pub(super) fn ends_clause(character: char) -> bool {
    ends_sentence(character)
        || matches!(character, ',' | ';' | ':' | '–' | '—' | '、' | '，' | '；' | '：' | '،')
}
