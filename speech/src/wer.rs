//! Accuracy of a transcript: word error rate and time offsets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::transcript::Segment;

/// Words to insert, delete or replace to turn `hypothesis` into `reference`, per word of `reference`. 0 is
/// perfect; more than 1 is possible. Case, punctuation and the spelling of numbers do not count. For an empty
/// `reference`, 0 if `hypothesis` is empty too, else 1.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "word counts are far below 2^52")]
pub fn word_error_rate(reference: &str, hypothesis: &str) -> f64 {
    let (reference, hypothesis) = (words(reference), words(hypothesis));
    if reference.is_empty() {
        return if hypothesis.is_empty() { 0.0 } else { 1.0 };
    }
    let mut costs: Vec<usize> = (0..=hypothesis.len()).collect();
    for wanted in &reference {
        add_word(&mut costs, wanted, &hypothesis);
    }
    costs[hypothesis.len()] as f64 / reference.len() as f64
}

/// Adds a word to the reference. `costs[j]` is the distance between the reference so far and the first j
/// words of the hypothesis.
fn add_word(costs: &mut [usize], wanted: &str, hypothesis: &[String]) {
    let mut diagonal = costs[0];
    costs[0] += 1;
    for (column, found) in hypothesis.iter().enumerate() {
        let replaced = diagonal + usize::from(wanted != found);
        diagonal = costs[column + 1];
        costs[column + 1] = replaced.min(diagonal + 1).min(costs[column] + 1);
    }
}

/// A sentence of the reference, with its times.
#[derive(Debug, Clone, Deserialize)]
pub struct SpokenSentence {
    /// Its words.
    pub text: String,
    /// Seconds from the start of the recording to its first sound.
    pub start: f64,
    /// Seconds from the start of the recording to the end of its last sound.
    pub end: f64,
}

/// Offsets of segment edges from the spoken ones, in seconds: starts of sentences whose first word begins a
/// segment, then ends of those whose last word ends one. Both inputs must be in order. Memory grows with the
/// product of their numbers of words.
#[must_use]
pub fn offsets(sentences: &[SpokenSentence], segments: &[Segment]) -> Vec<f64> {
    let mut reference = Edges::default();
    for spoken in sentences {
        reference.add(&spoken.text, spoken.start, spoken.end);
    }
    let mut hypothesis = Edges::default();
    for segment in segments {
        hypothesis.add(&segment.text, segment.start, segment.end);
    }
    let pairs = pairs(&reference.words, &hypothesis.words);
    let between = |theirs: &BTreeMap<usize, f64>, ours: &BTreeMap<usize, f64>| {
        let paired = theirs.iter().filter_map(|(word, time)| Some(ours.get(pairs.get(word)?)? - time));
        paired.map(f64::abs).collect::<Vec<_>>()
    };
    [between(&reference.starts, &hypothesis.starts), between(&reference.ends, &hypothesis.ends)].concat()
}

/// Words, and the times of those that begin or end a sentence or segment.
#[derive(Debug, Default)]
struct Edges {
    words: Vec<String>,
    starts: BTreeMap<usize, f64>,
    ends: BTreeMap<usize, f64>,
}

impl Edges {
    fn add(&mut self, text: &str, start: f64, end: f64) {
        let first = self.words.len();
        self.words.extend(words(text));
        if self.words.len() > first {
            self.starts.insert(first, start);
            self.ends.insert(self.words.len() - 1, end);
        }
    }
}

/// Pairs of equal words, reference to hypothesis by index, in one of the closest alignments.
fn pairs(reference: &[String], hypothesis: &[String]) -> BTreeMap<usize, usize> {
    let mut rows: Vec<Vec<usize>> = vec![(0..=hypothesis.len()).collect()];
    for (number, wanted) in reference.iter().enumerate() {
        let mut row = rows[number].clone();
        add_word(&mut row, wanted, hypothesis);
        rows.push(row);
    }
    let (mut wanted, mut found) = (reference.len(), hypothesis.len());
    let mut pairs = BTreeMap::new();
    while wanted > 0 && found > 0 {
        let same = reference[wanted - 1] == hypothesis[found - 1];
        let cost = rows[wanted][found];
        if cost == rows[wanted - 1][found - 1] + usize::from(!same) {
            (wanted, found) = (wanted - 1, found - 1);
            if same {
                pairs.insert(wanted, found);
            }
        } else if cost == rows[wanted - 1][found] + 1 {
            wanted -= 1;
        } else {
            found -= 1;
        }
    }
    pairs
}

/// Normalizes a text to words in lower case. An apostrophe joins, other punctuation separates. Small numbers
/// become digits, and each digit is a word: 1234 is spoken as 1 2 3 4.
fn words(text: &str) -> Vec<String> {
    let text: String = text
        .chars()
        .filter(|character| !matches!(character, '\'' | '’'))
        .map(|character| if character.is_alphanumeric() { character } else { ' ' })
        .flat_map(char::to_lowercase)
        .collect();
    let mut words = Vec::new();
    for word in text.split_whitespace().map(|word| digits(word).unwrap_or(word)) {
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            words.extend(word.chars().map(String::from));
        } else {
            words.push(word.to_owned());
        }
    }
    words
}

fn digits(word: &str) -> Option<&'static str> {
    const NUMBERS: [(&str, &str); 21] = [
        ("zero", "0"),
        ("one", "1"),
        ("two", "2"),
        ("three", "3"),
        ("four", "4"),
        ("five", "5"),
        ("six", "6"),
        ("seven", "7"),
        ("eight", "8"),
        ("nine", "9"),
        ("ten", "10"),
        ("eleven", "11"),
        ("twelve", "12"),
        ("thirteen", "13"),
        ("fourteen", "14"),
        ("fifteen", "15"),
        ("sixteen", "16"),
        ("seventeen", "17"),
        ("eighteen", "18"),
        ("nineteen", "19"),
        ("twenty", "20"),
    ];
    NUMBERS.iter().find(|(name, _)| *name == word).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_counts_insertions_deletions_and_replacements() {
        for (reference, hypothesis, expected) in [
            ("", "", 0.0),
            ("", "a b", 1.0),
            ("a b c d", "", 1.0),
            ("a b c d", "a b c d", 0.0),
            ("a b c d", "a x c d", 0.25),
            ("a b c d", "a c d", 0.25),
            ("a b c d", "a b b c d", 0.25),
            ("a b c d", "d c b a", 1.0),
            ("a", "b c d", 3.0),
        ] {
            let rate = word_error_rate(reference, hypothesis);
            assert!((rate - expected).abs() < 1e-12, "{reference:?} {hypothesis:?}: {rate}");
        }
    }

    #[test]
    fn case_punctuation_and_small_numbers_do_not_count() {
        assert!(word_error_rate("It's half-past twelve.", "its HALF past 12!") < 1e-12);
        assert!(word_error_rate("three", "four") > 0.9);
        assert!(word_error_rate("one two three four", "1234") < 1e-12);
        assert!(word_error_rate("twelve", "13") > 0.4);
    }

    #[test]
    fn offsets_compare_edges_that_both_have() {
        let spoken = |text: &str, start, end| SpokenSentence { text: text.to_owned(), start, end };
        let segment = |text: &str, start, end| Segment { id: 0, start, end, text: text.to_owned() };
        let sentences = [spoken("Press one.", 1.0, 2.0), spoken("Good bye.", 3.0, 4.0), spoken("", 9.0, 9.0)];
        let exact = [segment("Press 1", 1.0, 2.0), segment("Good bye", 3.25, 4.5)];
        assert_eq!(offsets(&sentences, &exact), [0.0, 0.25, 0.0, 0.5]);
        // A wrong word, or an edge inside a segment, gives no offset.
        let loose = [segment("Dress 1 good", 0.0, 3.5), segment("bye", 3.5, 4.25)];
        assert_eq!(offsets(&sentences, &loose), [0.25]);
        assert_eq!(offsets(&sentences, &[]), [0.0; 0]);
    }
}
