//! The university's course catalogue (CDCS): fetches terms, reads their XML, and merges their sections into courses.
//!
//! A term is read completely or not at all. Answers are hostile: an error page with status 200, half a document, a document
//! type definition, bytes that are not text.

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

/// Longest fetch of one term, from connecting to the last byte. The catalogue is slow where nothing matches.
const TERM_TIMEOUT: Duration = Duration::from_secs(60);

/// The catalogue's address and the terms to read.
#[derive(Debug, Clone)]
pub struct CatalogueSettings {
    /// Base URL of the XML query, without the query string.
    pub url: String,
    /// Terms such as `Fall 2026`. Empty = the current one and the next, by the database's date.
    pub terms: Vec<String>,
    /// Whether the catalogue fills `courses.instructor` (the schema document says it does not).
    pub sync_instructors: bool,
}

/// The courses of some terms, as the catalogue has them.
#[derive(Debug)]
pub struct CatalogueSnapshot {
    /// The courses of all terms that were read, by code.
    pub courses: Vec<Course>,
    /// The requested terms, oldest first.
    pub terms: Vec<Term>,
    /// The terms that could not be read, and why.
    pub failed: Vec<(Term, TermError)>,
    /// Entries without a code or a title, or with a code of unknown shape.
    pub skipped: usize,
}

/// Why a term could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TermError {
    /// The request failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The answer is not a list of courses.
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

/// Fetches the terms, one after the other, and merges them. Calls `done` with the number of terms done.
///
/// # Panics
/// If reading a document panics, which is a defect.
pub async fn fetch_terms(
    fetcher: &Fetcher,
    base: &Url,
    mut terms: Vec<Term>,
    done: impl Fn(usize),
) -> CatalogueSnapshot {
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
    CatalogueSnapshot { courses: merge::merge(&sections), terms, failed, skipped }
}

async fn read_term(fetcher: &Fetcher, url: &Url) -> Result<Document, TermError> {
    let body = fetcher.get_bytes(url, MAX_BYTES, TERM_TIMEOUT).await?;
    // The largest document takes half a second, so not on an async thread.
    let document = tokio::task::spawn_blocking(move || document::read(&body.bytes)).await;
    Ok(document.expect("reading a document does not panic")?)
}
