//! The words of a text, also in scripts that write no blanks between them.

use std::ops::Range;

/// Longest word in characters. A longer one is a loop without blanks, or a script not listed here: each of its
/// characters counts as a word.
const MAX_WORD_CHARACTERS: usize = 48;

/// A word, or a character of a script without blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// Its bytes in the text, up to the next token: with punctuation and blanks.
    pub range: Range<usize>,
    /// In lower case, without punctuation. Never empty.
    pub plain: String,
    /// True for one character of a script without blanks.
    pub is_character: bool,
}

/// The tokens of a text, in order. Text without letters and digits has none.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    // The first byte of a word, or of the punctuation before it.
    let (mut begun, mut is_open) = (None, false);
    for (at, character) in text.char_indices() {
        let is_character = is_unspaced(character);
        if character.is_whitespace() {
            (begun, is_open) = (None, false);
        } else if !character.is_alphanumeric() {
            begun = begun.or((!is_open && at > 0 && follows_blank(text, at)).then_some(at));
        } else if is_open && !is_character {
            let word = tokens.last_mut().expect("a word is open");
            word.plain.extend(character.to_lowercase());
        } else {
            let range = begun.take().unwrap_or(at)..at;
            tokens.push(Token { range, plain: character.to_lowercase().collect(), is_character });
            is_open = !is_character;
        }
    }
    if let Some(first) = tokens.first_mut() {
        first.range.start = 0;
    }
    let mut end = text.len();
    for token in tokens.iter_mut().rev() {
        token.range.end = end;
        end = token.range.start;
    }
    tokens.into_iter().flat_map(|token| split_long(token, text)).collect()
}

fn follows_blank(text: &str, at: usize) -> bool {
    text[..at].ends_with(char::is_whitespace)
}

/// The characters of a word that is too long to be one.
fn split_long(token: Token, text: &str) -> Vec<Token> {
    if token.plain.chars().count() <= MAX_WORD_CHARACTERS {
        return vec![token];
    }
    let whole = token.range;
    let mut characters: Vec<Token> = text[whole.clone()]
        .char_indices()
        .filter(|(_, character)| character.is_alphanumeric())
        .map(|(at, character)| Token {
            range: whole.start + at..whole.end,
            plain: character.to_lowercase().collect(),
            is_character: true,
        })
        .collect();
    let mut end = whole.end;
    for character in characters.iter_mut().rev() {
        character.range.end = end;
        end = character.range.start;
    }
    characters[0].range.start = whole.start;
    characters
}

/// True for letters of scripts without blanks between words.
fn is_unspaced(character: char) -> bool {
    in_unspaced_script(character) && character.is_alphanumeric()
}

/// True for letters and marks of scripts without blanks between words: Thai, Lao, Tibetan, Burmese, Khmer,
/// kana and Chinese characters.
pub(super) fn in_unspaced_script(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0FFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3005..=0x3007 | 0x3040..=0x30FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, String)> {
        let tokens = tokens(text);
        let whole: String = tokens.iter().map(|token| &text[token.range.clone()]).collect();
        assert!(tokens.is_empty() || whole == text, "{tokens:?}");
        tokens.into_iter().map(|token| (text[token.range].to_owned(), token.plain)).collect()
    }

    #[test]
    fn words_and_characters_are_tokens() {
        let pair = |slice: &str, plain: &str| (slice.to_owned(), plain.to_owned());
        assert_eq!(
            shown("“Well,” don't (say) 3.5"),
            [pair("“Well,” ", "well"), pair("don't ", "dont"), pair("(say) ", "say"), pair("3.5", "35")]
        );
        assert_eq!(shown("谢谢。OK!"), [pair("谢", "谢"), pair("谢。", "谢"), pair("OK!", "ok")]);
        assert_eq!(shown("ไก่ 1"), [pair("ไ", "ไ"), pair("ก่ ", "ก"), pair("1", "1")]);
        assert_eq!(shown(" ... "), []);
        assert_eq!(shown(&"ha".repeat(25)).len(), 50);
        assert_eq!(shown(&"ha".repeat(24)).len(), 1);
    }
}
