//! Words with times.

use crate::transcript::Segment;

/// A word, or a character of a script without blanks, with the punctuation after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    /// A blank stands before it, if another token does.
    pub(super) has_blank: bool,
    /// Milliseconds.
    pub(super) start: i64,
    /// Milliseconds.
    pub(super) end: i64,
}

/// Rounds seconds to milliseconds. NaN is 0.
pub(super) fn milliseconds(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates at both ends")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    // Far below the limits of the arithmetic here.
    milliseconds.clamp(0, 1 << 50)
}

/// The words of each segment. A segment ends where the next one starts; segments with the same start are one.
pub(super) fn of_segments(segments: &[Segment]) -> Vec<Vec<Token>> {
    let mut made: Vec<(i64, i64, String)> = Vec::new();
    for segment in segments {
        let (start, end) = (milliseconds(segment.start), milliseconds(segment.end));
        match made.last_mut() {
            Some((last_start, last_end, text)) if start <= *last_start => {
                *last_end = end.max(*last_end);
                text.push(' ');
                text.push_str(&segment.text);
            }
            last => {
                if let Some((_, last_end, _)) = last {
                    *last_end = start.min(*last_end);
                }
                made.push((start, end.max(start), segment.text.clone()));
            }
        }
    }
    made.into_iter()
        .map(|(start, end, text)| tokens(start, end, &text))
        .filter(|made| !made.is_empty())
        .collect()
}

/// The words of a text. Each takes its share of the time by its characters.
fn tokens(start: i64, end: i64, text: &str) -> Vec<Token> {
    let text: String = text.chars().map(|c| if is_breaking_control(c) { ' ' } else { c }).collect();
    let mut pieces: Vec<(String, bool)> = Vec::new();
    for word in text.split_whitespace() {
        let mut has_blank = true;
        for piece in pieces_of(word) {
            pieces.push((piece, has_blank));
            has_blank = false;
        }
    }
    let weight = |piece: &(String, bool)| i64::try_from(piece.0.chars().count()).unwrap_or(i64::MAX) + 1;
    let total: i64 = pieces.iter().map(weight).sum();
    let mut done = 0;
    let at = |done: i64| start + (end - start) * done / total.max(1);
    let mut tokens = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let begin = at(done);
        done += weight(&piece);
        tokens.push(Token { start: begin, end: at(done), text: piece.0, has_blank: piece.1 });
    }
    tokens
}

/// Control characters and the separators that end a line in some players.
fn is_breaking_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Cuts a word between full-width characters, never before punctuation, and where it is longer than a line.
fn pieces_of(word: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut width = 0;
    for character in word.chars() {
        let is_wide = super::width::is_wide(character);
        let added = super::width::width_of(character);
        let follows_wide =
            pieces.last().and_then(|piece| piece.chars().last()).is_some_and(super::width::is_wide);
        let opens = pieces.last().and_then(|piece| piece.chars().last()).is_some_and(opens);
        let may_cut = (is_wide || follows_wide) && !closes(character) && !opens;
        match pieces.last_mut() {
            Some(piece) if !may_cut && width + added <= super::width::LINE => {
                piece.push(character);
                width += added;
            }
            _ => {
                pieces.push(character.to_string());
                width = added;
            }
        }
    }
    pieces
}

/// Characters that no line begins with.
fn closes(character: char) -> bool {
    matches!(
        character,
        '、' | '。'
            | '，'
            | '．'
            | '！'
            | '？'
            | '：'
            | '；'
            | '」'
            | '』'
            | '）'
            | '】'
            | '》'
            | '〉'
            | '”'
            | '’'
            | '…'
            | 'ー'
            | 'ゃ'
            | 'ゅ'
            | 'ょ'
            | 'っ'
            | 'ャ'
            | 'ュ'
            | 'ョ'
            | 'ッ'
            | '々'
    ) || (character.is_ascii_punctuation() && !matches!(character, '(' | '[' | '{' | '<'))
}

/// Characters that no line ends with.
fn opens(character: char) -> bool {
    matches!(character, '「' | '『' | '（' | '【' | '《' | '〈' | '“' | '‘' | '(' | '[' | '{')
}
