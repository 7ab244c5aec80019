//! Cues from timed words, for answers without segments.

use serde_json::Value;

use super::times::{are_distinct, times, unit};
use crate::raw_transcript::RawSegment;
use crate::tokens::{in_unspaced_script, tokens};

/// Longest cue in characters, unless a single word is longer.
const MAX_CHARACTERS: usize = 80;

/// Longest cue in seconds, unless a single word takes longer.
const MAX_SECONDS: f64 = 6.0;

/// Least pause between two words that ends a cue, in seconds.
const PAUSE: f64 = 0.8;

/// The cues of a list of words about `seconds` of sound. Empty if the words have no times of their own.
/// `text` is the answer's own text: if it has the same words, its punctuation is used.
pub(super) fn cues<'a>(
    entries: impl IntoIterator<Item = &'a Value>,
    text: &str,
    seconds: f64,
) -> Vec<RawSegment> {
    let mut words = timed_words(entries, seconds);
    punctuate(&mut words, text);
    let mut cues: Vec<RawSegment> = Vec::new();
    for word in words {
        match cues.last_mut().filter(|cue| belongs(cue, &word)) {
            Some(cue) => {
                cue.end = cue.end.max(word.end);
                append(&mut cue.text, &word.text);
            }
            None => cues.push(RawSegment { text: word.text.trim().to_owned(), ..word }),
        }
    }
    cues
}

/// The text of a word.
pub(super) fn word_text(entry: &Value) -> Option<&str> {
    let texts = ["punctuated_word", "word", "text", "token"].iter();
    texts.filter_map(|key| entry.get(*key)?.as_str()).find(|text| !text.trim().is_empty())
}

/// The words, sorted by start. One without times takes those of its neighbours.
fn timed_words<'a>(entries: impl IntoIterator<Item = &'a Value>, seconds: f64) -> Vec<RawSegment> {
    let found: Vec<_> =
        entries.into_iter().filter_map(|entry| Some((times(entry), word_text(entry)?))).collect();
    if !are_distinct(found.iter().map(|(times, _)| *times)) {
        return Vec::new();
    }
    let unit = unit(found.iter().flat_map(|((start, end), _)| [*start, *end]).flatten(), seconds);
    let mut before = 0.0;
    let mut words: Vec<RawSegment> = Vec::with_capacity(found.len());
    // Some servers write the blank before each word, others leave it out.
    let has_blanks = found.iter().any(|(_, text)| text.starts_with(char::is_whitespace));
    for ((start, end), text) in found {
        let start = start.map_or(before, |time| time.seconds(unit)).max(0.0);
        let end = end.map_or(start, |time| time.seconds(unit)).max(start);
        before = end;
        let is_part = has_blanks && text.starts_with(|first| !is_boundary(first));
        match words.last_mut().filter(|word| is_part && !word.text.ends_with(in_unspaced_script)) {
            Some(word) => {
                word.end = word.end.max(end);
                word.text.push_str(text);
            }
            None => words.push(RawSegment { start, end, text: text.trim().to_owned() }),
        }
    }
    words.sort_by(|one, other| one.start.total_cmp(&other.start));
    words
}

/// True if a word begins at the character.
fn is_boundary(character: char) -> bool {
    character.is_whitespace() || in_unspaced_script(character)
}

/// Takes the words as `text` writes them, if they are the same words.
fn punctuate(words: &mut [RawSegment], text: &str) {
    let written = tokens(text);
    let counts: Vec<Vec<String>> =
        words.iter().map(|word| tokens(&word.text).into_iter().map(|token| token.plain).collect()).collect();
    if !counts.iter().flatten().eq(written.iter().map(|token| &token.plain)) {
        return;
    }
    let mut at = 0;
    for (word, count) in words.iter_mut().zip(counts.iter().map(Vec::len)) {
        if count > 0 {
            let range = written[at].range.start..written[at + count - 1].range.end;
            word.text = text[range].trim().to_owned();
            at += count;
        }
    }
}

/// True if the word continues the cue.
fn belongs(cue: &RawSegment, word: &RawSegment) -> bool {
    if !word.text.contains(char::is_alphanumeric) {
        return true;
    }
    let ends_sentence = cue
        .text
        .trim_end_matches(['"', '”', '’', ')', '」'])
        .ends_with(['.', '?', '!', '…', '。', '？', '！']);
    let characters = cue.text.chars().count() + 1 + word.text.chars().count();
    !ends_sentence
        && characters <= MAX_CHARACTERS
        && word.end - cue.start <= MAX_SECONDS
        && word.start - cue.end < PAUSE
}

/// Appends a word, after a blank where its script has one.
fn append(text: &mut String, word: &str) {
    let is_unspaced = word.starts_with(in_unspaced_script);
    let follows = is_unspaced
        || word.starts_with(|first: char| !(first.is_alphanumeric() || "([{“\"'¿¡$#@&".contains(first)));
    let precedes = text.ends_with(|last| in_unspaced_script(last) || "。、，！？「".contains(last));
    if !(follows && (precedes || !is_unspaced)) {
        text.push(' ');
    }
    text.push_str(word);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(words: &Value, text: &str) -> Vec<String> {
        let cues = cues(words.as_array().unwrap(), text, 60.0);
        cues.into_iter().map(|cue| format!("{:.1}-{:.1} {}", cue.start, cue.end, cue.text)).collect()
    }

    #[test]
    fn sentences_pauses_and_lengths_end_a_cue() {
        let words = json!([
            { "word": "Good", "start": 0.0, "end": 0.4 }, { "word": "morning.", "start": 0.5, "end": 1.0 },
            { "word": "Today", "start": 1.1, "end": 1.5 }, { "word": "we", "start": 3.0, "end": 3.2 },
        ]);
        assert_eq!(shown(&words, ""), ["0.0-1.0 Good morning.", "1.1-1.5 Today", "3.0-3.2 we"]);
        let many: Vec<Value> = (0..40)
            .map(|n| json!({ "word": "word", "start": f64::from(n) * 0.5, "end": f64::from(n) * 0.5 + 0.5 }))
            .collect();
        let cues = cues(&many, "", 60.0);
        assert!(cues.len() >= 3 && cues.iter().all(|cue| cue.end - cue.start <= 6.0), "{cues:?}");
        let words: usize = cues.iter().map(|cue| cue.text.split(' ').count()).sum();
        assert_eq!(words, 40);
    }

    #[test]
    fn the_text_lends_its_punctuation() {
        let words = json!([
            { "word": "Good", "start": 0.0, "end": 0.4 }, { "word": "morning", "start": 0.5, "end": 1.0 },
            { "word": "Today", "start": 1.1, "end": 1.5 },
        ]);
        assert_eq!(shown(&words, "Good morning! Today…"), ["0.0-1.0 Good morning!", "1.1-1.5 Today…"]);
        assert_eq!(shown(&words, "Something else."), ["0.0-1.5 Good morning Today"]);
    }

    #[test]
    fn blanks_stand_where_the_script_has_them() {
        for (words, expected) in [
            (json!([" Hel", "lo", ",", " you"]), "Hello, you"),
            (json!(["Hello", ",", "you", "?"]), "Hello, you?"),
            (json!(["你", "好", "，", "世", "界"]), "你好，世界"),
            (json!([" OK", "你", "好", "，", "世", "界", " Hel", "lo"]), "OK 你好，世界 Hello"),
            (json!([" So", "ก่", "น"]), "So ก่น"),
            (json!([" OK", "好", "Py", "thon"]), "OK 好 Python"),
            (json!(["Well", "(", "so"]), "Well ( so"),
        ] {
            let words: Vec<Value> = words
                .as_array()
                .unwrap()
                .iter()
                .map(|word| json!({ "word": word, "start": 100, "end": 200 }))
                .collect();
            assert_eq!(cues(&words, "", 1.0)[0].text, expected);
        }
    }

    #[test]
    fn characters_are_words_beside_words_with_blanks() {
        let entries: Vec<Value> = [" OK", "你", "好", "世", "界"]
            .into_iter()
            .enumerate()
            .map(|(at, word)| json!({ "word": word, "start": at * 5, "end": at * 5 + 1 }))
            .collect();
        assert_eq!(
            shown(&json!(entries), ""),
            ["0.0-1.0 OK", "5.0-6.0 你", "10.0-11.0 好", "15.0-16.0 世", "20.0-21.0 界"]
        );
    }

    #[test]
    fn milliseconds_missing_times_and_wrong_order_are_borne() {
        let words = json!([
            { "word": "two", "start": 2000, "end": 2500 }, { "word": "one", "start": 1500, "end": 1900 },
            { "word": "so", "start": null, "end": null }, { "word": " ", "start": 1, "end": 2 },
        ]);
        assert_eq!(cues(words.as_array().unwrap(), "", 3.0)[0].text, "one so two");
    }
}
