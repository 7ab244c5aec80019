//! Compares the catalogue with the table and plans the changes. No I/O.
//!
//! - A new code becomes an official course.
//! - An official course keeps its title while any section still has it (topics courses have many titles).
//!   Otherwise it takes the catalogue's best title. Its instructor changes only if that is configured, and
//!   never to nothing.
//! - A user's course keeps everything; the catalogue's course of the same code is not stored beside it. It
//!   becomes official only if the catalogue has its title, so the user loses nothing. An official course that
//!   was retained as unofficial comes back in the same way.
//! - Official courses that the catalogue does not have are stale. They change only if every term could be
//!   read and at least four fifths of the official courses are still in the catalogue. (Its number of courses
//!   proves nothing: a renumbering keeps the number and changes the codes.)

use std::collections::{HashMap, HashSet};

use bedel_recordings::catalogue::code::fold;
use bedel_recordings::catalogue::merge::Course;
use uuid::Uuid;

/// A row of `courses`.
#[derive(Debug, Clone, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns of docs/reference/database-schema.md, one by one")]
pub struct StoredCourse {
    pub id: Uuid,
    pub code: String,
    pub title: String,
    pub instructor: Option<String>,
    pub is_official: bool,
}

/// A course to insert as official.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of docs/reference/database-schema.md, one by one")]
pub struct NewCourse {
    pub code: String,
    pub title: String,
    pub instructor: Option<String>,
}

/// A course to update; it is official afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of docs/reference/database-schema.md, one by one")]
pub struct ChangedCourse {
    pub id: Uuid,
    pub title: String,
    pub instructor: Option<String>,
}

/// The changes of a course sync.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Courses to insert, by code.
    pub create: Vec<NewCourse>,
    /// Courses to update, by code.
    pub update: Vec<ChangedCourse>,
    /// Number of courses without a change.
    pub unchanged: u64,
    /// Official courses that are not in the catalogue.
    pub stale: Vec<Uuid>,
    /// True if the stale ones may be deleted or retained.
    pub may_delete: bool,
}

/// Plans the changes. `complete` is true if every term could be read.
#[must_use]
pub fn plan(catalogue: &[Course], stored: &[StoredCourse], complete: bool, sync_instructors: bool) -> Plan {
    let mut plan = Plan::default();
    let by_code = index(stored);
    for course in catalogue {
        let offered = course.instructor.as_ref().filter(|_| sync_instructors);
        match by_code.get(course.code.as_str()) {
            None => plan.create.push(NewCourse {
                code: course.code.clone(),
                title: course.titles[0].clone(),
                instructor: offered.cloned(),
            }),
            Some(row) => match update(row, course, offered) {
                Some(changed) => plan.update.push(changed),
                None => plan.unchanged += 1,
            },
        }
    }
    let codes: HashSet<&str> = catalogue.iter().map(|course| course.code.as_str()).collect();
    let official: Vec<_> = stored.iter().filter(|row| row.is_official).collect();
    plan.stale =
        official.iter().filter(|row| !codes.contains(fold(&row.code).as_str())).map(|row| row.id).collect();
    // The overlap also bounds the catalogue's size from below, being a part of it.
    let overlap = official.len() - plan.stale.len();
    plan.may_delete = complete && overlap * 5 >= official.len() * 4;
    plan
}

/// Rows by their code in the catalogue's spelling. Of several with the same code the official one counts.
fn index(stored: &[StoredCourse]) -> HashMap<String, &StoredCourse> {
    let mut index: HashMap<String, &StoredCourse> = HashMap::with_capacity(stored.len());
    for row in stored {
        let indexed = index.entry(fold(&row.code)).or_insert(row);
        if row.is_official && !indexed.is_official {
            *indexed = row;
        }
    }
    index
}

fn update(row: &StoredCourse, course: &Course, offered: Option<&String>) -> Option<ChangedCourse> {
    let title_seen = course.titles.contains(&row.title);
    if !row.is_official && !title_seen {
        return None;
    }
    let title = if title_seen { &row.title } else { &course.titles[0] };
    let instructor = match offered {
        // A user's entry survives when the course becomes official.
        Some(name) if row.is_official || row.instructor.is_none() => Some(name),
        _ => row.instructor.as_ref(),
    };
    let same = row.is_official && *title == row.title && instructor == row.instructor.as_ref();
    (!same).then(|| ChangedCourse { id: row.id, title: title.clone(), instructor: instructor.cloned() })
}
