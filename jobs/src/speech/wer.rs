//! Word error rate: how far a transcript is from the words that were spoken.

/// Words to insert, delete or replace to get from `hypothesis` to `reference`, per word of `reference`. 0 is perfect;
/// more than 1 is possible. Case, punctuation and the spelling of small numbers do not count. Where `reference` has
/// no words it is 0 for no words and 1 for any.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "numbers of words are far below 2^52")]
pub fn word_error_rate(reference: &str, hypothesis: &str) -> f64 {
    let (reference, hypothesis) = (words(reference), words(hypothesis));
    if reference.is_empty() {
        return if hypothesis.is_empty() { 0.0 } else { 1.0 };
    }
    // `costs[j]` is the distance between the words so far and the first j words of the hypothesis.
    let mut costs: Vec<usize> = (0..=hypothesis.len()).collect();
    for (index, wanted) in reference.iter().enumerate() {
        let mut diagonal = costs[0];
        costs[0] = index + 1;
        for (column, found) in hypothesis.iter().enumerate() {
            let replaced = diagonal + usize::from(wanted != found);
            diagonal = costs[column + 1];
            costs[column + 1] = replaced.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    costs[hypothesis.len()] as f64 / reference.len() as f64
}

/// Lower case; an apostrophe joins, any other punctuation separates; small numbers as digits.
fn words(text: &str) -> Vec<String> {
    let text: String = text
        .chars()
        .filter(|character| !matches!(character, '\'' | '’'))
        .map(|character| if character.is_alphanumeric() { character } else { ' ' })
        .flat_map(char::to_lowercase)
        .collect();
    text.split_whitespace().map(|word| digits(word).unwrap_or(word).to_owned()).collect()
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
    }
}
