//! Cuts a segment into cues.

use super::layout::{ends_clause, ends_sentence, fits};
use super::limits::MAX_MILLISECONDS;
use super::tokens::Token;
use super::width::{LINE, width_of};

/// A cue before its times are settled. It has at least one token.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) tokens: Vec<Token>,
}

impl Draft {
    pub(super) fn start(&self) -> i64 {
        self.tokens.first().map_or(0, |token| token.start)
    }

    pub(super) fn end(&self) -> i64 {
        self.tokens.last().map_or(0, |token| token.end)
    }

    pub(super) fn append(&mut self, other: Self) {
        self.tokens.extend(other.tokens);
    }

    pub(super) fn prepend(&mut self, mut other: Self) {
        std::mem::swap(&mut self.tokens, &mut other.tokens);
        self.tokens.extend(other.tokens);
    }
}

/// Cost of each cue: fewer cues are better.
const CUE: u64 = 200;
/// Cost of a cut after a clause, and of one amid a clause. One after a sentence is free.
const AFTER_CLAUSE: u64 = 500;
const AMID_CLAUSE: u64 = 800;

/// The cues of a segment, with the least total cost of cuts, number and unevenness. A segment that fits stays one
/// cue.
pub(super) fn split(tokens: Vec<Token>) -> Vec<Draft> {
    if fits(tokens.iter()) && lasts_at_most_the_longest(&tokens) {
        return vec![Draft { tokens }];
    }
    // best[n]: cost of the first n tokens, and where the last of their cues begins.
    let mut best: Vec<(u64, usize)> = vec![(0, 0)];
    for end in 1..=tokens.len() {
        let mut choice = (u64::MAX, end - 1);
        for begin in (0..end).rev() {
            let cue = &tokens[begin..end];
            // A single word is a cue even if it is long.
            if cue.len() > 1 && !(fits(cue.iter()) && lasts_at_most_the_longest(cue)) {
                break;
            }
            let cost = best[begin].0.saturating_add(CUE + unevenness(cue) + cut_cost(&tokens, end));
            if cost < choice.0 {
                choice = (cost, begin);
            }
        }
        best.push(choice);
    }
    let mut cuts = vec![tokens.len()];
    while let Some(&end) = cuts.last().filter(|end| **end > 0) {
        cuts.push(best[end].1);
    }
    let mut rest = tokens;
    let mut drafts: Vec<Draft> =
        cuts.iter().skip(1).map(|begin| Draft { tokens: rest.split_off(*begin) }).collect();
    drafts.reverse();
    drafts
}

fn lasts_at_most_the_longest(tokens: &[Token]) -> bool {
    let (first, last) = (tokens.first(), tokens.last());
    first.zip(last).is_none_or(|(first, last)| last.end - first.start <= MAX_MILLISECONDS)
}

/// Grows with the square of the room that a cue leaves: two halves are better than a long and a short one.
fn unevenness(cue: &[Token]) -> u64 {
    let width: usize = cue.iter().flat_map(|token| token.text.chars()).map(width_of).sum();
    let free = (2 * LINE).saturating_sub(width) as u64;
    300 * free * free / (4 * (LINE * LINE) as u64)
}

fn cut_cost(tokens: &[Token], end: usize) -> u64 {
    let text = tokens[end - 1].text.trim_end_matches(['"', '\'', '”', '’', '」', '』', ')']);
    match text.chars().last() {
        _ if end == tokens.len() => 0,
        Some(last) if ends_sentence(last) => 0,
        Some(last) if ends_clause(last) => AFTER_CLAUSE,
        _ => AMID_CLAUSE,
    }
}
