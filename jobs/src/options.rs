//! How a lecture is transcribed: its language, the words to expect, engine and model.
//!
//! Each option comes from the first source that sets it: the submission, the submitter's own defaults of the
//! course, the course's defaults. The result is stored with the new lecture, so every retry and restart keeps
//! it. The worker's configuration decides what no source sets.

pub mod course;
pub mod lecture;

use bedel_speech::engines::EngineKind;
use bedel_speech::language;
use serde::Serialize;

use crate::invalid_field::{InvalidField, invalid};

/// Most terms of a vocabulary.
pub const MAX_TERMS: usize = 200;

/// Longest term, in characters.
pub const MAX_TERM_CHARS: usize = 64;

/// Longest name of a model, in characters.
pub const MAX_MODEL_CHARS: usize = 100;

/// Options of a transcription. `None` is left to the next source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct TranscriptionOptions {
    /// The spoken language, as a code such as `en`. An English name is accepted too.
    #[schema(example = "en")]
    pub language: Option<String>,
    /// Words to expect, such as terms and names, the most important first. At most 200, each at most 64
    /// characters long. An empty list means none, whatever the defaults are.
    #[schema(example = json!(["eigenvalue", "Krebs cycle"]), max_items = 200)]
    pub vocabulary: Option<Vec<String>>,
    /// The engine.
    pub engine: Option<EngineKind>,
    /// The model, by the engine's name for it.
    #[schema(example = "base", max_length = 100)]
    pub model: Option<String>,
}

impl TranscriptionOptions {
    /// The options in their stored form.
    ///
    /// # Errors
    /// Every invalid field.
    pub fn checked(self) -> Result<Self, Vec<InvalidField>> {
        let mut errors = Vec::new();
        let language = self.language.filter(|text| !text.trim().is_empty()).and_then(|text| {
            let code = language::known_code(&text);
            if code.is_none() {
                errors.push(invalid(
                    "language",
                    "unknown",
                    "this is no language of Whisper's: write a code such as en",
                ));
            }
            code
        });
        let vocabulary = self.vocabulary.map(|terms| clean_vocabulary(terms, &mut errors));
        let model = self.model.map(|model| model.trim().to_owned()).filter(|model| !model.is_empty());
        errors.extend(model.as_deref().and_then(refuse_model));
        if errors.is_empty() { Ok(Self { language, vocabulary, model, ..self }) } else { Err(errors) }
    }

    /// These options, and those of `fallback` that are not set here. A model is not taken from there if it
    /// belongs to another engine.
    #[must_use]
    pub fn or(self, fallback: Self) -> Self {
        let same_engine = self.engine.is_none() || self.engine == fallback.engine;
        Self {
            language: self.language.or(fallback.language),
            vocabulary: self.vocabulary.or(fallback.vocabulary),
            engine: self.engine.or(fallback.engine),
            model: self.model.or(fallback.model.filter(|_| same_engine)),
        }
    }

    /// True if no option is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The terms without blanks around them, empty ones and repetitions.
fn clean_vocabulary(terms: Vec<String>, errors: &mut Vec<InvalidField>) -> Vec<String> {
    let mut refuse = |code, message: String| errors.push(invalid("vocabulary", code, message));
    if terms.len() > MAX_TERMS {
        refuse("length", format!("this has more than {MAX_TERMS} terms: keep the most important ones"));
        return Vec::new();
    }
    if terms.iter().any(|term| term.contains(char::is_control)) {
        refuse("control", "a term holds a control character: remove it".to_owned());
    }
    let mut clean: Vec<String> = Vec::new();
    for term in terms {
        let term = term.trim();
        if term.chars().nth(MAX_TERM_CHARS).is_some() {
            refuse("too-long", format!("a term is longer than {MAX_TERM_CHARS} characters: shorten it"));
            break;
        }
        if !term.is_empty() && !clean.iter().any(|known| known == term) {
            clean.push(term.to_owned());
        }
    }
    clean
}

/// Refuses what no engine has as a name. A path would let a user name files of a worker.
fn refuse_model(model: &str) -> Option<InvalidField> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "._:/@-".contains(character);
    if model.chars().nth(MAX_MODEL_CHARS).is_some() {
        let message = format!("this is longer than {MAX_MODEL_CHARS} characters: shorten it");
        return Some(invalid("model", "too-long", message));
    }
    let is_path =
        model.starts_with(['/', '.']) || model.split('/').any(|part| part.is_empty() || part == "..");
    (is_path || !model.chars().all(allowed))
        .then(|| invalid("model", "name", "this is no name of a model: write one such as base or whisper-1"))
}

/// A row's columns.
#[derive(Debug, Default, sqlx::FromRow)]
struct Columns {
    language: Option<String>,
    vocabulary: Option<Vec<String>>,
    engine: Option<String>,
    model: Option<String>,
}

impl From<Columns> for TranscriptionOptions {
    fn from(columns: Columns) -> Self {
        let Columns { language, vocabulary, engine, model } = columns;
        Self { language, vocabulary, engine: engine.as_deref().and_then(EngineKind::named), model }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(terms: &[&str]) -> Option<Vec<String>> {
        Some(terms.iter().map(|term| (*term).to_owned()).collect())
    }

    #[test]
    fn options_are_stored_in_one_form() {
        let options = TranscriptionOptions {
            language: Some(" English ".to_owned()),
            vocabulary: terms(&[" Krebs cycle", "", "Dijkstra", "Dijkstra"]),
            engine: Some(EngineKind::Openai),
            model: Some(" Systran/faster-whisper-base ".to_owned()),
        };
        let checked = options.checked().unwrap();
        assert_eq!(checked.language.as_deref(), Some("en"));
        assert_eq!(checked.vocabulary, terms(&["Krebs cycle", "Dijkstra"]));
        assert_eq!(checked.model.as_deref(), Some("Systran/faster-whisper-base"));
        let empty = TranscriptionOptions {
            language: Some(String::new()),
            model: Some(" ".to_owned()),
            ..TranscriptionOptions::default()
        };
        assert!(empty.checked().unwrap().is_empty());
        let none = TranscriptionOptions { vocabulary: terms(&[]), ..TranscriptionOptions::default() };
        assert_eq!(none.checked().unwrap().vocabulary, terms(&[]), "an empty list is a choice");
    }

    #[test]
    fn every_invalid_field_is_named() {
        let fields = |options: TranscriptionOptions| -> Vec<(&str, &str)> {
            options.checked().unwrap_err().iter().map(|error| (error.field, error.code)).collect()
        };
        let long = "x".repeat(MAX_TERM_CHARS + 1);
        let vocabulary =
            |terms| TranscriptionOptions { vocabulary: terms, ..TranscriptionOptions::default() };
        assert_eq!(fields(vocabulary(terms(&[&long, &long]))), [("vocabulary", "too-long")]);
        assert_eq!(fields(vocabulary(terms(&["a\nb"]))), [("vocabulary", "control")]);
        assert_eq!(fields(vocabulary(terms(&["a\0"]))), [("vocabulary", "control")]);
        assert_eq!(fields(vocabulary(Some(vec![String::new(); MAX_TERMS + 1]))), [("vocabulary", "length")]);
        for model in ["/etc/passwd", "../model", "a/../b", "a b", "a\0", "./m", "a//b", "modèle"] {
            let options =
                TranscriptionOptions { model: Some(model.to_owned()), ..TranscriptionOptions::default() };
            assert_eq!(fields(options), [("model", "name")], "{model:?}");
        }
        let all = TranscriptionOptions {
            language: Some("Klingon".to_owned()),
            vocabulary: terms(&[&long]),
            engine: None,
            model: Some("m".repeat(MAX_MODEL_CHARS + 1)),
        };
        assert_eq!(fields(all), [("language", "unknown"), ("vocabulary", "too-long"), ("model", "too-long")]);
    }

    #[test]
    fn each_option_falls_back_by_itself() {
        let own = TranscriptionOptions { language: Some("de".to_owned()), ..TranscriptionOptions::default() };
        let course = TranscriptionOptions {
            language: Some("en".to_owned()),
            vocabulary: terms(&["Fourier"]),
            engine: Some(EngineKind::Openai),
            model: Some("whisper-1".to_owned()),
        };
        let both = own.clone().or(course.clone());
        assert_eq!(both, TranscriptionOptions { language: Some("de".to_owned()), ..course.clone() });
        assert_eq!(TranscriptionOptions::default().or(course.clone()), course);
        let none = TranscriptionOptions { vocabulary: terms(&[]), ..own };
        assert_eq!(none.or(course.clone()).vocabulary, terms(&[]));
    }

    #[test]
    fn a_model_stays_with_its_engine() {
        let choice = |engine, model: Option<&str>| TranscriptionOptions {
            engine,
            model: model.map(str::to_owned),
            ..TranscriptionOptions::default()
        };
        let course = choice(Some(EngineKind::Openai), Some("whisper-1"));
        let embedded = choice(Some(EngineKind::Embedded), None);
        assert_eq!(embedded.clone().or(course.clone()), embedded);
        assert_eq!(choice(Some(EngineKind::Openai), None).or(course.clone()), course);
        let other = choice(None, Some("large")).or(course);
        assert_eq!(other, choice(Some(EngineKind::Openai), Some("large")));
    }
}
