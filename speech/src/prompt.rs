//! Words that an engine should expect: terms of the subject, names, titles.
//!
//! Engines read them as text that came before the recording, so a listed word is spelt as listed.

use serde::Serialize;

/// Words to expect, the most important first. Its JSON is part of an engine's fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Prompt {
    terms: Vec<String>,
    /// Not in the fingerprint: they may change while a recording is transcribed.
    #[serde(skip)]
    titles: Vec<String>,
}

impl Prompt {
    /// A prompt of these terms. Drops empty and repeated ones, and replaces control characters by spaces.
    #[must_use]
    pub fn new<T: AsRef<str>>(terms: impl IntoIterator<Item = T>) -> Self {
        let mut prompt = Self::default();
        for term in terms {
            prompt.terms.extend(prompt.clean(term.as_ref()));
        }
        prompt
    }

    /// The prompt with titles behind its terms. Pieces that were made with other titles are reused.
    #[must_use]
    pub fn with_titles<T: AsRef<str>>(mut self, titles: impl IntoIterator<Item = T>) -> Self {
        for title in titles {
            self.titles.extend(self.clean(title.as_ref()));
        }
        self
    }

    /// A term without control characters, unless it is empty or known.
    fn clean(&self, term: &str) -> Option<String> {
        let clean = term.replace(char::is_control, " ");
        let term = clean.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_known = self.all().any(|known| known.to_lowercase() == term.to_lowercase());
        (!term.is_empty() && !is_known).then_some(term)
    }

    /// The terms, then the titles.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().chain(&self.titles).map(String::as_str)
    }

    /// True without any term and title.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// The terms as one sentence, as many as fit into `max_tokens`. A term is never cut. `count` counts the
    /// tokens of a text. `None` if no term fits.
    #[must_use]
    pub fn text(&self, max_tokens: usize, count: impl Fn(&str) -> usize) -> Option<String> {
        let mut left = max_tokens;
        let mut chosen: Vec<&str> = Vec::new();
        for term in self.all() {
            let cost = count(&format!(" {term},"));
            if cost <= left {
                left -= cost;
                chosen.push(term);
            }
        }
        (!chosen.is_empty()).then(|| format!("{}.", chosen.join(", ")))
    }

    /// True if a text is nothing but words of the prompt, in its order.
    #[must_use]
    pub fn is_echo(&self, text: &str) -> bool {
        let (text, prompt) = (words(text), words(&self.all().collect::<Vec<_>>().join(" ")));
        !text.is_empty() && prompt.windows(text.len()).any(|run| run == text)
    }
}

/// Tokens of a text for an engine whose vocabulary is unknown: one for three bytes. English takes fewer,
/// few languages take more.
#[must_use]
pub fn estimate_tokens(text: &str) -> usize {
    text.len().div_ceil(3)
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_cleaned_and_kept_in_order() {
        let prompt = Prompt::new(["  Krebs\n cycle ", "", "Dijkstra", "krebs CYCLE", "\0"]);
        assert_eq!(
            prompt,
            Prompt { terms: vec!["Krebs cycle".to_owned(), "Dijkstra".to_owned()], titles: Vec::new() }
        );
        assert_eq!(prompt.text(100, str::len).as_deref(), Some("Krebs cycle, Dijkstra."));
        assert!(Prompt::new([" "]).is_empty() && Prompt::default().text(100, str::len).is_none());
    }

    #[test]
    fn titles_follow_the_terms() {
        let prompt = Prompt::new(["Dijkstra"]).with_titles(["CSC 173", " dijkstra", "", "Graphs"]);
        assert_eq!(prompt.text(100, str::len).as_deref(), Some("Dijkstra, CSC 173, Graphs."));
        assert!(prompt.is_echo("CSC 173, Graphs"));
        assert_eq!(serde_json::to_string(&prompt).unwrap(), r#"{"terms":["Dijkstra"]}"#);
    }

    #[test]
    fn only_whole_terms_that_fit_are_used() {
        let prompt = Prompt::new(["alpha", "heteroscedasticity", "beta", "gamma"]);
        // " alpha," has 7 bytes, " beta," has 6.
        assert_eq!(prompt.text(13, str::len).as_deref(), Some("alpha, beta."));
        assert_eq!(prompt.text(6, str::len).as_deref(), Some("beta."));
        assert_eq!(prompt.text(5, str::len), None);
        assert_eq!(prompt.text(usize::MAX, |_| usize::MAX).as_deref(), Some("alpha."));
    }

    #[test]
    fn an_echo_is_a_run_of_the_prompts_words() {
        let prompt = Prompt::new(["Krebs cycle", "Dijkstra", "CSC 173"]);
        for (text, expected) in [
            (" Krebs cycle, Dijkstra.", true),
            ("dijkstra", true),
            ("cycle Dijkstra", true),
            ("Dijkstra, Krebs cycle", false),
            ("The Krebs cycle", false),
            ("Krebs cycle, Dijkstra, CSC 173, and", false),
            ("", false),
            ("...", false),
        ] {
            assert_eq!(prompt.is_echo(text), expected, "{text:?}");
        }
    }
}
