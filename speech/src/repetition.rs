//! Cuts the loops of an engine that got stuck.
//!
//! Whisper does this over music, noise or a bad recording: it repeats one phrase until the window ends, or
//! one sentence for minutes. The first round of a loop stays, because it may have been spoken. People repeat
//! themselves too, so a loop must be longer than natural speech.

use super::raw_transcript::RawSegment;

/// Words of the longest phrase searched for within a segment.
const MAX_PHRASE_WORDS: usize = 12;

/// Least rounds of a loop within a segment.
const LOOP_ROUNDS: usize = 5;

/// Least words of all rounds of a loop within a segment.
const LOOP_WORDS: usize = 12;

/// Least equal segments in a row that are a loop, if each has [`PHRASE_WORDS`] or more; else twice as many.
const LOOP_SEGMENTS: usize = 4;
const PHRASE_WORDS: usize = 3;

/// Cuts each loop, within a segment or across several, to its first round. Expects the segments in order.
#[must_use]
pub(super) fn cut_loops(segments: Vec<RawSegment>) -> Vec<RawSegment> {
    let segments: Vec<RawSegment> = segments
        .into_iter()
        .map(|segment| RawSegment { text: cut_phrase_loops(&segment.text), ..segment })
        .collect();
    let mut kept: Vec<RawSegment> = Vec::with_capacity(segments.len());
    let mut rest = segments.as_slice();
    while let Some(first) = rest.first() {
        let first_words = words(&first.text);
        let run = rest.iter().take_while(|segment| words(&segment.text) == first_words).count();
        let limit = if first_words.len() >= PHRASE_WORDS { LOOP_SEGMENTS } else { 2 * LOOP_SEGMENTS };
        kept.extend_from_slice(&rest[..if run >= limit { 1 } else { run }]);
        rest = &rest[run..];
    }
    kept
}

/// Cuts loops within a text.
fn cut_phrase_loops(text: &str) -> String {
    let spoken: Vec<&str> = text.split_whitespace().collect();
    let plain: Vec<String> = spoken.iter().map(|word| plain(word)).collect();
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < spoken.len() {
        match (1..=MAX_PHRASE_WORDS).find_map(|length| rounds(&plain[at..], length)) {
            Some((length, rounds)) => {
                kept.extend_from_slice(&spoken[at..at + length]);
                at += length * rounds;
            }
            None => {
                kept.push(spoken[at]);
                at += 1;
            }
        }
    }
    kept.join(" ")
}

/// The length of a phrase and its rounds, if the words begin with a loop of it.
fn rounds(words: &[String], length: usize) -> Option<(usize, usize)> {
    let phrase = words.get(..length)?;
    let rounds = words.chunks_exact(length).take_while(|next| *next == phrase).count();
    (rounds >= LOOP_ROUNDS && rounds * length >= LOOP_WORDS).then_some((length, rounds))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(plain).collect()
}

/// A word in lower case without punctuation.
fn plain(word: &str) -> String {
    word.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
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
        ] {
            assert_eq!(cut(texts), texts);
        }
    }
}
