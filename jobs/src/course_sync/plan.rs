//! What a synchronisation should change, worked out from the catalogue and the table. No I/O.
//!
//! - A new code becomes an official course.
//! - An official course keeps its title while any section still has it (topics courses have many titles), else it
//!   takes the best of those seen. Its instructor changes only where that is configured, and never to nothing.
//! - A course that a user made keeps everything; the catalogue's course of the same code is not stored beside it.
//!   Only where its title is one that the catalogue has, so that nothing of the user's is lost, does it become
//!   official. That is also how a course that was retained as unofficial comes back.
//! - Official courses that the catalogue does not have are stale. They are touched only where every term could be
//!   read and at least four fifths of the official courses are still there. (So many courses in the catalogue alone
//!   would prove nothing: after a renumbering there are as many as before, with other codes.)

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

/// What to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To insert, by code.
    pub create: Vec<NewCourse>,
    /// To update, by code.
    pub update: Vec<ChangedCourse>,
    /// How many are right as they are.
    pub unchanged: u64,
    /// Official and not in the catalogue.
    pub stale: Vec<Uuid>,
    /// Whether the stale ones may be deleted or retained.
    pub may_delete: bool,
}

/// Works out the plan. `complete` tells whether every term could be read.
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
            Some(row) => match change(row, course, offered) {
                Some(changed) => plan.update.push(changed),
                None => plan.unchanged += 1,
            },
        }
    }
    let codes: HashSet<&str> = catalogue.iter().map(|course| course.code.as_str()).collect();
    let official: Vec<_> = stored.iter().filter(|row| row.is_official).collect();
    plan.stale =
        official.iter().filter(|row| !codes.contains(fold(&row.code).as_str())).map(|row| row.id).collect();
    // The overlap also bounds the count from below: what is still there is part of what was found.
    let still_there = official.len() - plan.stale.len();
    plan.may_delete = complete && still_there * 5 >= official.len() * 4;
    plan
}

/// Rows by their code in the spelling of the catalogue. Where several have the same, the official one counts.
fn index(stored: &[StoredCourse]) -> HashMap<String, &StoredCourse> {
    let mut index: HashMap<String, &StoredCourse> = HashMap::with_capacity(stored.len());
    for row in stored {
        let place = index.entry(fold(&row.code)).or_insert(row);
        if row.is_official && !place.is_official {
            *place = row;
        }
    }
    index
}

fn change(row: &StoredCourse, course: &Course, offered: Option<&String>) -> Option<ChangedCourse> {
    let title_seen = course.titles.contains(&row.title);
    if !row.is_official && !title_seen {
        return None;
    }
    let title = if title_seen { &row.title } else { &course.titles[0] };
    let instructor = match offered {
        // What a user wrote outlives the moment in which the course becomes official.
        Some(name) if row.is_official || row.instructor.is_none() => Some(name),
        _ => row.instructor.as_ref(),
    };
    let same = row.is_official && *title == row.title && instructor == row.instructor.as_ref();
    (!same).then(|| ChangedCourse { id: row.id, title: title.clone(), instructor: instructor.cloned() })
}
