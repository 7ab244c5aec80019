//! Makes courses of the sections of several terms. The result depends on what the sections say, never on the order
//! in which they came.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Section;
use super::term::Term;

/// Longest list of instructors, in characters; names that do not fit are left out.
const MAX_INSTRUCTORS: usize = 500;

/// A course as the catalogue tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Such as `CSC 171`.
    pub code: String,
    /// Every title that was seen, the best first: of the latest term, then the most frequent there, then in the
    /// order of the alphabet. Topics courses have many.
    pub titles: Vec<String>,
    /// The names of all sections, without repetition, in the order of the alphabet, joined by `; `.
    pub instructor: Option<String>,
}

/// How often a title was seen in the latest term that has it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    term: Term,
    times: usize,
}

#[derive(Default)]
struct Merging<'a> {
    titles: BTreeMap<&'a str, Option<Seen>>,
    instructors: BTreeSet<&'a str>,
}

/// The courses of these terms, by code.
#[must_use]
pub fn merge(terms: &[(Term, Vec<Section>)]) -> Vec<Course> {
    let mut courses: BTreeMap<&str, Merging<'_>> = BTreeMap::new();
    for (term, section) in
        terms.iter().flat_map(|(term, sections)| sections.iter().map(move |one| (*term, one)))
    {
        let course = courses.entry(&section.code).or_default();
        course.instructors.extend(section.instructors.iter().map(String::as_str));
        let seen = course.titles.entry(&section.title).or_default();
        match seen {
            Some(seen) if seen.term == term => seen.times += 1,
            Some(seen) if seen.term > term => {}
            _ => *seen = Some(Seen { term, times: 1 }),
        }
    }
    courses.into_iter().map(|(code, course)| course.finish(code)).collect()
}

impl Merging<'_> {
    fn finish(self, code: &str) -> Course {
        let mut titles: Vec<_> = self.titles.into_iter().collect();
        // Stable, and the map gave them in the order of the alphabet.
        titles.sort_by(|(_, a), (_, b)| b.cmp(a));
        let titles = titles.into_iter().map(|(title, _)| title.to_owned()).collect();
        Course { code: code.to_owned(), titles, instructor: join(&self.instructors) }
    }
}

fn join(names: &BTreeSet<&str>) -> Option<String> {
    let mut joined = String::new();
    for name in names {
        if joined.chars().count() + name.chars().count() + 2 > MAX_INSTRUCTORS {
            break;
        }
        if !joined.is_empty() {
            joined.push_str("; ");
        }
        joined.push_str(name);
    }
    (!joined.is_empty()).then_some(joined)
}
