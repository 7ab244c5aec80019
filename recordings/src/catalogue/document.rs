//! Reads one term's XML into sections.
//!
//! The reader streams and assumes little: an entry is any element named `course`, at any depth; of an entry only `cn`, `title`
//! and `instructors` count. In a well-formed document, bad bytes and unknown entities cost only those characters. A document
//! that is malformed or truncated is refused: its missing courses would look deleted.

use std::borrow::Cow;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};
use quick_xml::reader::Reader;

use super::code::course_of_section;

/// Deepest nesting accepted. Real documents have 5 levels.
const MAX_DEPTH: usize = 32;

/// Most entries of one term. The largest real union of two terms had 4,131 courses.
const MAX_ENTRIES: usize = 200_000;

/// Bytes read of one field; the rest is skipped.
const MAX_FIELD_BYTES: usize = 4096;

/// Longest title kept, in characters.
const MAX_TITLE: usize = 300;

/// Longest name of an instructor kept, in characters.
const MAX_NAME: usize = 100;

/// Skipped codes shown in the log.
const MAX_EXAMPLES: usize = 10;

/// One section of a course.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The course's code, without the section.
    pub code: String,
    /// Never blank.
    pub title: String,
    /// In the order of the document; may be empty.
    pub instructors: Vec<String>,
}

/// One term's document.
#[derive(Debug, Default)]
pub struct Document {
    /// At least one.
    pub sections: Vec<Section>,
    /// Entries without a code or a title, or with a code of unknown shape.
    pub skipped: usize,
    /// The codes of some skipped entries. Untrusted: print with `{:?}`.
    pub examples: Vec<String>,
}

/// Why an answer is not a list of courses. The texts quote nothing of the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// HTML: most likely an error page.
    #[error("the catalogue answered with a web page instead of its data")]
    WebPage,
    /// A document type definition, whose entities can exhaust memory.
    #[error("the catalogue's answer has a document type definition, which is not accepted")]
    Dtd,
    /// Not well-formed XML.
    #[error("the catalogue's answer is not well-formed XML (at byte {0})")]
    Malformed(u64),
    /// Truncated.
    #[error("the catalogue's answer ends in the middle")]
    CutOff,
    /// More levels than any real document has.
    #[error("the catalogue's answer is nested too deeply")]
    TooDeep,
    /// More entries than any real term has.
    #[error("the catalogue's answer has too many entries")]
    TooManyEntries,
    /// No courses: an empty term, an unknown one, or a failing catalogue.
    #[error("the catalogue lists no courses for this term")]
    NoCourses,
}

/// Reads a document. Its encoding is taken as UTF-8; bytes that are not become U+FFFD where they stand.
///
/// # Errors
/// Where it is no list of at least one course. See [`DocumentError`].
pub fn read(bytes: &[u8]) -> Result<Document, DocumentError> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&text);
    let config = reader.config_mut();
    config.expand_empty_elements = true; // <title/> is a start and an end
    config.allow_dangling_amp = true; // "R & D", written by hand
    let mut walk = Walk::default();
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(_) if reader.error_position() >= text.len() as u64 => return Err(DocumentError::CutOff),
            // A tag or a comment that never ends is noticed at the end and reported at its start.
            Err(quick_xml::Error::Syntax(_)) => return Err(DocumentError::CutOff),
            Err(_) => return Err(DocumentError::Malformed(reader.error_position())),
        };
        let known = match event {
            Event::Start(start) => walk.enter(start.local_name().as_ref()),
            Event::End(_) => walk.leave(),
            Event::Text(text) => walk.text(&text),
            Event::CData(text) => walk.text(&text),
            Event::GeneralRef(reference) => walk.text(&resolve(&reference)),
            Event::DocType(name) => Err(if is_html(name.split_whitespace().next().unwrap_or_default()) {
                DocumentError::WebPage
            } else {
                DocumentError::Dtd
            }),
            Event::Eof => return walk.finish(),
            _ => Ok(()), // declaration, comments, processing instructions
        };
        match known {
            // The walk does not know the position.
            Err(DocumentError::Malformed(_)) => {
                return Err(DocumentError::Malformed(reader.buffer_position()));
            }
            other => other?,
        }
    }
}

/// State between two events.
#[derive(Default)]
struct Walk {
    document: Document,
    depth: usize,
    root_closed: bool,
    entries: usize,
    /// The current entry, and the depth of its element.
    entry: Option<(Entry, usize)>,
    /// The current field of the entry, and the depth of its element.
    field: Option<(Field, usize)>,
}

#[derive(Default)]
struct Entry {
    code: String,
    title: String,
    instructors: String,
}

#[derive(Clone, Copy)]
enum Field {
    Code,
    Title,
    Instructors,
}

impl Walk {
    fn enter(&mut self, name: &str) -> Result<(), DocumentError> {
        self.depth += 1;
        if self.root_closed {
            return Err(DocumentError::Malformed(0));
        }
        if self.depth == 1 && is_html(name) {
            return Err(DocumentError::WebPage);
        }
        if self.depth > MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        match &self.entry {
            None if name == "course" => {
                self.entries += 1;
                if self.entries > MAX_ENTRIES {
                    return Err(DocumentError::TooManyEntries);
                }
                self.entry = Some((Entry::default(), self.depth));
            }
            Some((_, depth)) if self.depth == depth + 1 => {
                let field = match name {
                    "cn" => Field::Code,
                    "title" => Field::Title,
                    "instructors" => Field::Instructors,
                    _ => return Ok(()),
                };
                self.field = Some((field, self.depth));
            }
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), DocumentError> {
        if self.field.is_some_and(|(_, depth)| depth == self.depth) {
            self.field = None;
        }
        if let Some((entry, _)) = self.entry.take_if(|(_, depth)| *depth == self.depth) {
            self.document.add(&entry);
        }
        self.depth = self.depth.saturating_sub(1);
        self.root_closed |= self.depth == 0;
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), DocumentError> {
        if self.depth == 0 {
            return if text.trim().is_empty() { Ok(()) } else { Err(DocumentError::Malformed(0)) };
        }
        if let (Some((entry, _)), Some((field, _))) = (&mut self.entry, self.field) {
            let text_so_far = match field {
                Field::Code => &mut entry.code,
                Field::Title => &mut entry.title,
                Field::Instructors => &mut entry.instructors,
            };
            let room = MAX_FIELD_BYTES.saturating_sub(text_so_far.len());
            text_so_far.push_str(&text[..text.floor_char_boundary(room)]);
        }
        Ok(())
    }

    fn finish(self) -> Result<Document, DocumentError> {
        if self.depth > 0 {
            return Err(DocumentError::CutOff);
        }
        if self.document.sections.is_empty() {
            return Err(DocumentError::NoCourses);
        }
        Ok(self.document)
    }
}

impl Document {
    fn add(&mut self, entry: &Entry) {
        let title = clean(&entry.title, MAX_TITLE);
        match course_of_section(&entry.code) {
            Some(code) if !title.is_empty() => {
                let names = entry.instructors.split(';').map(|name| clean(name, MAX_NAME));
                let instructors = names.filter(|name| !name.is_empty()).collect();
                self.sections.push(Section { code, title, instructors });
            }
            _ => {
                self.skipped += 1;
                if self.examples.len() < MAX_EXAMPLES {
                    self.examples.push(clean(&entry.code, 40));
                }
            }
        }
    }
}

fn is_html(name: &str) -> bool {
    name.eq_ignore_ascii_case("html")
}

/// The text of a reference. An unknown one stays as written; an impossible character becomes U+FFFD.
fn resolve<'a>(reference: &'a BytesRef<'_>) -> Cow<'a, str> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Cow::Owned(character.to_string()),
        Err(_) => Cow::Borrowed("\u{FFFD}"),
        Ok(None) => match resolve_xml_entity(reference) {
            Some(text) => Cow::Borrowed(text),
            None if &**reference == "nbsp" => Cow::Borrowed(" "),
            None => Cow::Owned(format!("&{};", &**reference)),
        },
    }
}

/// One line of at most `limit` characters: control characters (among them NUL, which PostgreSQL refuses) and runs of
/// blanks become one blank.
fn clean(text: &str, limit: usize) -> String {
    let mut cleaned = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !cleaned.is_empty() {
            cleaned.push(' ');
        }
        cleaned.push_str(word);
    }
    if let Some((end, _)) = cleaned.char_indices().nth(limit) {
        cleaned.truncate(end);
        cleaned.truncate(cleaned.trim_end().len());
    }
    cleaned
}
