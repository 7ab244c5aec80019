//! The university's course catalogue (CDCS): which terms to ask for, how to read an answer, and how the sections of
//! several terms become courses.
//!
//! A term is asked for as a whole and is usable as a whole or not at all. Everything in an answer is hostile: an
//! error page with status 200, half a document, a document type definition, bytes that are no text.

pub mod code;
pub mod document;
pub mod merge;
pub mod term;

use std::time::Duration;

use bedel_fetch::{FetchError, Fetcher};
use document::{Document, DocumentError};
use merge::Course;
use term::Term;
use url::Url;

/// Largest answer for one term, in bytes. Real ones are estimated at 3 to 10 MB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Longest time for one term, from the request to its last byte. The catalogue is slow where nothing matches.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Where the catalogue is and which terms are wanted.
#[derive(Debug, Clone)]
pub struct CatalogueSettings {
    /// Base URL of the XML query, without the query string.
    pub url: String,
    /// Terms such as `Fall 2026`. Empty = the current one and the next, by the database's date.
    pub terms: Vec<String>,
    /// Whether `courses.instructor` is filled from the catalogue (the schema document says it is not).
    pub sync_instructors: bool,
}

/// What the catalogue said.
#[derive(Debug)]
pub struct Gathered {
    /// The courses of all terms that could be read, by code.
    pub courses: Vec<Course>,
    /// The terms that were asked for, oldest first.
    pub terms: Vec<Term>,
    /// The terms that could not be read, and why.
    pub failed: Vec<(Term, TermError)>,
    /// Entries without a code or a title, or whose code has no shape we know.
    pub skipped: usize,
}

/// Why a term could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TermError {
    /// No answer, or none with status 200.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An answer that is no list of courses.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// The address of one term's lectures.
#[must_use]
pub fn term_url(base: &Url, term: Term) -> Url {
    let mut url = base.clone();
    url.query_pairs_mut()
        .append_pair("id", "XML")
        .append_pair("term", &term.to_string())
        .append_pair("type", "Lecture");
    url
}

/// Asks for each term, one after the other, and merges what came. `done` is told how many terms are through.
///
/// # Panics
/// Where reading a document panicked, which would be a defect.
pub async fn gather(fetcher: &Fetcher, base: &Url, mut terms: Vec<Term>, done: impl Fn(usize)) -> Gathered {
    terms.sort_unstable();
    terms.dedup();
    let mut read = Vec::new();
    let mut failed = Vec::new();
    for (number, &term) in terms.iter().enumerate() {
        match read_term(fetcher, &term_url(base, term)).await {
            Ok(document) => {
                if document.skipped > 0 {
                    tracing::warn!(%term, skipped = document.skipped, examples = ?document.examples,
                        "entries of the catalogue were skipped");
                }
                read.push((term, document));
            }
            Err(error) => {
                tracing::warn!(%term, %error, "a term of the catalogue could not be read");
                failed.push((term, error));
            }
        }
        done(number + 1);
    }
    let skipped = read.iter().map(|(_, document)| document.skipped).sum();
    let sections: Vec<_> = read.into_iter().map(|(term, document)| (term, document.sections)).collect();
    Gathered { courses: merge::merge(&sections), terms, failed, skipped }
}

async fn read_term(fetcher: &Fetcher, url: &Url) -> Result<Document, TermError> {
    let body = fetcher.get_bytes(url, MAX_BYTES, TIMEOUT).await?;
    // Up to half a second of work for the largest document: not on the threads that serve everybody.
    let document = tokio::task::spawn_blocking(move || document::read(&body.bytes)).await;
    Ok(document.expect("reading a document does not panic")?)
}
