//! Splits text into the words that the index holds.
//!
//! Transcripts and queries are split here, not by PostgreSQL's parser, which takes `co-operate` for three
//! tokens and a whole Chinese sentence for one. It gets words with blanks between them, so each is one token.

use std::ops::Range;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// In lower case.
    pub(super) folded: String,
    /// Its bytes in the text.
    pub(super) range: Range<usize>,
}

/// The words of a text, in order. In scripts without blanks each character is a word.
pub(super) fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut begin = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        let is_alone = is_word_of_its_own(character);
        if is_alone || !is_part_of_word(character) {
            words.extend(begin.take().map(|begin| word(text, begin..at)));
        } else if begin.is_none() {
            begin = Some(at);
        }
        if is_alone {
            words.push(word(text, at..at + character.len_utf8()));
        }
    }
    words
}

fn word(text: &str, range: Range<usize>) -> Word {
    Word { folded: text[range.clone()].to_lowercase(), range }
}

/// The words of a text with blanks between them: what PostgreSQL gets.
pub(super) fn folded(text: &str) -> String {
    words(text).into_iter().map(|word| word.folded).collect::<Vec<_>>().join(" ")
}

/// True for characters of scripts without blanks between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer.
pub(super) fn is_word_of_its_own(character: char) -> bool {
    matches!(u32::from(character),
        0x0E01..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17DD
        | 0x3005..=0x3007 | 0x3031..=0x30FA | 0x30FC..=0x30FF | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
}

/// Letters, digits and the marks that belong to letters.
fn is_part_of_word(character: char) -> bool {
    character.is_alphanumeric()
        || matches!(u32::from(character), 0x0300..=0x036F | 0x0591..=0x05C7 | 0x064B..=0x065F | 0x0900..=0x0963 | 0x0966..=0x0DFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_into_words() {
        for (text, expected) in [
            ("The co-operative's x86, 3.14!", "the co operative s x86 3 14"),
            ("ÜBER  naïve\u{0}Größe", "über naïve größe"),
            ("我们学习 Fourier变换。", "我 们 学 习 fourier 变 换"),
            ("हिन्दी में", "हिन्दी में"),
            ("강의 녹음", "강의 녹음"),
            ("C++ & <b> ' \" \\ :* !( | -->", "c b"),
            ("", ""),
        ] {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    #[test]
    fn ranges_point_into_the_text() {
        let text = "Größe: 变换 ok";
        let found: Vec<&str> = words(text).into_iter().map(|word| &text[word.range]).collect();
        assert_eq!(found, ["Größe", "变", "换", "ok"]);
    }
}
