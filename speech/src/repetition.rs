//! Cuts the loops of an engine that got stuck.
//!
//! Whisper does this over music, noise or a bad recording: it repeats one phrase until the window ends, or
//! one sentence for minutes. The first round of a loop stays, because it may have been spoken. People repeat
//! themselves too, so a loop must be longer than natural speech.

use super::raw_transcript::RawSegment;
use super::tokens::{Token, tokens};

/// Words of the longest phrase searched for within a segment.
const MAX_PHRASE_WORDS: usize = 12;

/// Characters of the longest phrase searched for in scripts without blanks.
const MAX_PHRASE_CHARACTERS: usize = 40;

/// Least rounds of a loop within a segment.
const LOOP_ROUNDS: usize = 5;

/// Least words of all rounds of a loop within a segment.
const LOOP_WORDS: usize = 12;

/// Least characters of all rounds of a loop in scripts without blanks. Laughter (`哈哈哈`) and repeated assent
/// are shorter.
const LOOP_CHARACTERS: usize = 24;

/// Least equal segments in a row that are a loop, if each has [`PHRASE_WORDS`] or [`PHRASE_CHARACTERS`] or more;
/// else twice as many.
const LOOP_SEGMENTS: usize = 4;
const PHRASE_WORDS: usize = 3;
const PHRASE_CHARACTERS: usize = 6;

/// Cuts each loop, within a segment or across several, to its first round. Expects the segments in order.
#[must_use]
pub(super) fn cut_loops(segments: Vec<RawSegment>) -> Vec<RawSegment> {
    let segments: Vec<RawSegment> = segments
        .into_iter()
        .map(|segment| RawSegment { text: cut_phrase_loops(&segment.text), ..segment })
        .collect();
    let words: Vec<Vec<String>> = segments.iter().map(|segment| plain_words(&segment.text)).collect();
    let mut kept: Vec<RawSegment> = Vec::with_capacity(segments.len());
    let mut at = 0;
    while at < segments.len() {
        let run = words[at..].iter().take_while(|next| **next == words[at]).count();
        let limit = if is_phrase(&segments[at].text) { LOOP_SEGMENTS } else { 2 * LOOP_SEGMENTS };
        kept.extend_from_slice(&segments[at..at + if run >= limit { 1 } else { run }]);
        at += run;
    }
    kept
}

/// Cuts loops within a text.
fn cut_phrase_loops(text: &str) -> String {
    let spoken = tokens(text);
    let (mut kept, mut at) = (String::with_capacity(text.len()), 0);
    while at < spoken.len() {
        let longest = if spoken[at].is_character { MAX_PHRASE_CHARACTERS } else { MAX_PHRASE_WORDS };
        let found = (1..=longest).find_map(|length| rounds(&spoken[at..], length));
        let (length, rounds) = found.unwrap_or((1, 1));
        let phrase = &spoken[at..at + length];
        kept.push_str(&text[phrase[0].range.start..phrase[length - 1].range.end]);
        at += length * rounds;
    }
    match spoken.is_empty() {
        true => text.to_owned(),
        false => kept.trim().to_owned(),
    }
}

/// The length of a phrase and its rounds, if the tokens begin with a loop of it.
fn rounds(spoken: &[Token], length: usize) -> Option<(usize, usize)> {
    let phrase = spoken.get(..length)?;
    let is_same = |next: &&[Token]| next.iter().zip(phrase).all(|(one, other)| one.plain == other.plain);
    let rounds = spoken.chunks_exact(length).take_while(is_same).count();
    let has_characters = phrase.iter().any(|token| token.is_character);
    let least = if has_characters { LOOP_CHARACTERS } else { LOOP_WORDS };
    (rounds >= LOOP_ROUNDS && rounds * length >= least).then_some((length, rounds))
}

fn plain_words(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|token| token.plain).collect()
}

/// True for a text that is too long to be said four times in a row.
fn is_phrase(text: &str) -> bool {
    let tokens = tokens(text);
    let characters = tokens.iter().filter(|token| token.is_character).count();
    characters >= PHRASE_CHARACTERS || tokens.len() - characters >= PHRASE_WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(texts: &[&str]) -> Vec<String> {
        let segments = texts.iter().zip(0_u32..).map(|(text, number)| RawSegment {
            start: f64::from(number),
            end: f64::from(number) + 1.0,
            text: (*text).to_owned(),
        });
        cut_loops(segments.collect()).into_iter().map(|segment| segment.text).collect()
    }

    #[test]
    fn a_looped_phrase_is_cut_to_one() {
        let looped =
            format!("So we begin. {}And that is all.", "I'm going to go to the next slide. ".repeat(9));
        assert_eq!(cut(&[&looped]), ["So we begin. I'm going to go to the next slide. And that is all."]);
        let drone = "the ".repeat(60);
        assert_eq!(cut(&[&drone]), ["the"]);
    }

    #[test]
    fn loops_without_blanks_are_cut() {
        for (phrase, rounds) in [
            ("谢谢观看", 6),
            ("ご視聴ありがとうございました。", 5),
            ("ขอบคุณครับ", 5),
            ("嗯", 40),
            ("字幕志愿者 ", 9),
        ] {
            let looped = format!("开始{}结束", phrase.repeat(rounds));
            assert_eq!(cut(&[&looped]), [format!("开始{phrase}结束")], "{phrase}");
        }
        assert_eq!(cut(&["谢谢大家的观看。"; 4]), ["谢谢大家的观看。"]);
        assert_eq!(cut(&[&"haha".repeat(30)]), ["ha"]);
    }

    #[test]
    fn a_sentence_looped_over_segments_is_cut_to_one() {
        let mut texts = vec!["Welcome."];
        texts.extend(["Thank you for watching!"; 40]);
        texts.push("Now to the proof.");
        assert_eq!(cut(&texts), ["Welcome.", "Thank you for watching!", "Now to the proof."]);
        assert_eq!(cut(&["Okay."; 30]), ["Okay."]);
    }

    #[test]
    fn natural_repetition_stays() {
        for texts in [
            &["No, no, no, no, no!"][..],
            &["It is very, very, very, very good."],
            &["One one one one one is the number."],
            &["Left, right, left, right, left, right, left, right."],
            &["Yes.", "Yes.", "Yes.", "Yes.", "Yes."],
            &["I do not know.", "I do not know.", "I do not know."],
            &["哈哈哈哈哈哈哈哈哈哈"],
            &["对对对对对，是这样的。"],
            &["慢慢来，慢慢来，慢慢来，慢慢来。"],
            &["はいはいはいはいはい。"],
            &["ครับครับครับครับครับ"],
            &["谢谢。", "谢谢。", "谢谢。", "谢谢。", "谢谢。"],
            &["ありがとうございます。", "ありがとうございます。", "ありがとうございます。"],
            &["Aaaaaaaaaaaaaaaaaaaaaaah!"],
            &["1000000000000000000000000000000 and hahahahahahahahaha"],
        ] {
            assert_eq!(cut(texts), texts);
        }
    }
}
