//! The tokens of a `tokenizer.json`, decoded to bytes.
//!
//! Byte-level vocabularies write each byte as one printable character. Bytes that are printable in Latin-1
//! stand for themselves; the other 68 are the characters from U+0100 on, in order.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ctranslate2::FormatError;

#[derive(Deserialize)]
struct Tokenizer {
    model: Vocabulary,
}

#[derive(Deserialize)]
struct Vocabulary {
    vocab: BTreeMap<String, u32>,
}

/// Tokens 0 to `count` - 1. The tokens after them are Whisper's special ones, which whisper.cpp adds itself.
pub(super) fn tokens(json: &[u8], count: usize) -> Result<Vec<Vec<u8>>, FormatError> {
    let tokenizer: Tokenizer =
        serde_json::from_slice(json).map_err(|error| FormatError::Tokenizer(error.to_string()))?;
    if tokenizer.model.vocab.len() < count {
        let found = tokenizer.model.vocab.len();
        return Err(FormatError::unexpected("the number of tokens", found, format!("at least {count}")));
    }
    let bytes = byte_of_character();
    let mut tokens = vec![None; count];
    for (text, id) in &tokenizer.model.vocab {
        let Some(slot) = tokens.get_mut(*id as usize) else { continue };
        let decoded: Option<Vec<u8>> = text.chars().map(|character| bytes.get(&character).copied()).collect();
        let decoded =
            decoded.ok_or_else(|| FormatError::Tokenizer(format!("token {id} is not byte-level text")))?;
        *slot = Some(decoded);
    }
    let complete: Option<Vec<_>> = tokens.into_iter().collect();
    complete.ok_or_else(|| FormatError::Tokenizer("a token below the special ones is missing".into()))
}

fn byte_of_character() -> BTreeMap<char, u8> {
    let mut next = 0x100;
    let mut map = BTreeMap::new();
    for byte in 0..=u8::MAX {
        let character = if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
            char::from(byte)
        } else {
            let character = char::from_u32(next).expect("U+0100 to U+0143 are characters");
            next += 1;
            character
        };
        map.insert(character, byte);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_multi_byte_characters_are_decoded() {
        // "Ġ" stands for a blank, "Ċ" for a line feed, "Ã©" for the two bytes of "é".
        let json = r#"{"model":{"vocab":{"a":0,"Ġthe":1,"Ċ":2,"Ã©":3,"<|endoftext|>":4}}}"#;
        let tokens = tokens(json.as_bytes(), 4).unwrap();
        assert_eq!(tokens, [b"a".to_vec(), b" the".to_vec(), b"\n".to_vec(), "é".as_bytes().to_vec()]);
    }

    #[test]
    fn missing_and_malformed_tokens_are_errors() {
        let refused = |json: &str| tokens(json.as_bytes(), 2).unwrap_err();
        assert!(matches!(refused("{"), FormatError::Tokenizer(_)));
        assert!(matches!(refused(r#"{"model":{"vocab":{"a":0}}}"#), FormatError::Unexpected { .. }));
        assert!(matches!(refused(r#"{"model":{"vocab":{"a":0,"b":7}}}"#), FormatError::Tokenizer(_)));
        assert!(matches!(refused(r#"{"model":{"vocab":{"a":0,"日":1}}}"#), FormatError::Tokenizer(_)));
    }
}
