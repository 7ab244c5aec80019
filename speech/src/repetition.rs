//! What an engine says again and again where it has lost the thread.
//!
//! Whisper is known for it: over music, noise or a bad recording it writes one phrase until the window ends, or one sentence for
//! minutes. Of each such loop its first round stays, as that may have been said. People repeat themselves too, so a loop has to be
//! longer than what anybody says in earnest.

use super::engine::RawSegment;

/// Words of the longest phrase that is looked for within a segment.
const LONGEST_PHRASE: usize = 12;

/// Rounds of a phrase, and words of all of them, from which on they are a loop.
const ROUNDS: usize = 5;
const LOOP_WORDS: usize = 12;

/// Segments in a row that say the same: so many where each is a phrase of at least [`PHRASE_WORDS`], else twice as many.
const SEGMENTS: usize = 4;
const PHRASE_WORDS: usize = 3;

/// The segments in their order, each loop within one and over several of them cut down to its first round.
#[must_use]
pub(super) fn without_loops(segments: Vec<RawSegment>) -> Vec<RawSegment> {
    let segments: Vec<RawSegment> = segments
        .into_iter()
        .map(|segment| RawSegment { text: without_phrases(&segment.text), ..segment })
        .collect();
    let mut kept: Vec<RawSegment> = Vec::with_capacity(segments.len());
    let mut rest = segments.as_slice();
    while let Some(first) = rest.first() {
        let said = words(&first.text);
        let run = rest.iter().take_while(|segment| words(&segment.text) == said).count();
        let limit = if said.len() >= PHRASE_WORDS { SEGMENTS } else { 2 * SEGMENTS };
        kept.extend_from_slice(&rest[..if run >= limit { 1 } else { run }]);
        rest = &rest[run..];
    }
    kept
}

/// The text with phrases that are repeated in a loop said once.
fn without_phrases(text: &str) -> String {
    let spoken: Vec<&str> = text.split_whitespace().collect();
    let plain: Vec<String> = spoken.iter().map(|word| plain(word)).collect();
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < spoken.len() {
        match (1..=LONGEST_PHRASE).find_map(|length| rounds(&plain[at..], length)) {
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

/// The length of a phrase and how often it is said, where the words begin with a loop of it.
fn rounds(words: &[String], length: usize) -> Option<(usize, usize)> {
    let phrase = words.get(..length)?;
    let rounds = words.chunks_exact(length).take_while(|next| *next == phrase).count();
    (rounds >= ROUNDS && rounds * length >= LOOP_WORDS).then_some((length, rounds))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(plain).collect()
}

/// A word without its punctuation, in lower case.
fn plain(word: &str) -> String {
    word.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(texts: &[&str]) -> Vec<String> {
        let segments = texts.iter().zip(0_u32..).map(|(text, number)| RawSegment {
            start: f64::from(number),
            end: f64::from(number) + 1.0,
            text: (*text).to_owned(),
        });
        without_loops(segments.collect()).into_iter().map(|segment| segment.text).collect()
    }

    #[test]
    fn a_phrase_in_a_loop_is_said_once() {
        let looped =
            format!("So we begin. {}And that is all.", "I'm going to go to the next slide. ".repeat(9));
        assert_eq!(said(&[&looped]), ["So we begin. I'm going to go to the next slide. And that is all."]);
        let drone = "the ".repeat(60);
        assert_eq!(said(&[&drone]), ["the"]);
    }

    #[test]
    fn a_sentence_over_many_segments_is_said_once_and_keeps_its_time() {
        let mut texts = vec!["Welcome."];
        texts.extend(["Thank you for watching!"; 40]);
        texts.push("Now to the proof.");
        assert_eq!(said(&texts), ["Welcome.", "Thank you for watching!", "Now to the proof."]);
        assert_eq!(said(&["Okay."; 30]), ["Okay."]);
    }

    #[test]
    fn people_may_repeat_themselves() {
        for texts in [
            &["No, no, no, no, no!"][..],
            &["It is very, very, very, very good."],
            &["One one one one one is the number."],
            &["Left, right, left, right, left, right, left, right."],
            &["Yes.", "Yes.", "Yes.", "Yes.", "Yes."],
            &["I do not know.", "I do not know.", "I do not know."],
        ] {
            assert_eq!(said(texts), texts);
        }
    }
}
