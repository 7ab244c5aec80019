//! Merges the sections of several terms into courses. The order of the sections does not matter.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Section;
use super::term::Term;

/// Longest list of instructors, in characters. Names that do not fit are dropped.
const MAX_INSTRUCTORS: usize = 500;

/// A course of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// Such as `CSC 171`.
    pub code: String,
    /// All titles, the best first: of the latest term, then the most frequent there, then in alphabetical order. Topics
    /// courses have many.
    pub titles: Vec<String>,
    /// The instructors of all sections, without repetition, in alphabetical order, joined by `; `.
    pub instructor: Option<String>,
}

/// Occurrences of a title in the latest term that has it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TitleCount {
    term: Term,
    count: usize,
}

#[derive(Default)]
struct CourseBuilder<'a> {
    titles: BTreeMap<&'a str, Option<TitleCount>>,
    instructors: BTreeSet<&'a str>,
}

/// The courses of these terms, by code.
#[must_use]
pub fn merge(terms: &[(Term, Vec<Section>)]) -> Vec<Course> {
    let mut courses: BTreeMap<&str, CourseBuilder<'_>> = BTreeMap::new();
    for (term, section) in
        terms.iter().flat_map(|(term, sections)| sections.iter().map(move |section| (*term, section)))
    {
        let course = courses.entry(&section.code).or_default();
        course.instructors.extend(section.instructors.iter().map(String::as_str));
        let title = course.titles.entry(&section.title).or_default();
        match title {
            Some(latest) if latest.term == term => latest.count += 1,
            Some(latest) if latest.term > term => {}
            _ => *title = Some(TitleCount { term, count: 1 }),
        }
    }
    courses.into_iter().map(|(code, course)| course.finish(code)).collect()
}

impl CourseBuilder<'_> {
    fn finish(self, code: &str) -> Course {
        let mut titles: Vec<_> = self.titles.into_iter().collect();
        // A stable sort keeps the map's alphabetical order.
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
