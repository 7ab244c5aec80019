//! The courses that a form offers: the user's own, or the first ones of the catalogue for a user without any.

use bedel_jobs::course::{self, Course};
use sqlx::PgConnection;
use uuid::Uuid;

/// Most courses offered to a user without own ones. The page of courses finds the others.
const MAX_CHOICES: usize = 60;

/// Reads the courses to offer, in order of code.
pub(super) async fn read(connection: &mut PgConnection, user_id: Uuid) -> Result<Vec<Course>, sqlx::Error> {
    let mut courses = course::chosen(&mut *connection, user_id).await?;
    if courses.is_empty() {
        courses = course::all(connection).await?;
        courses.truncate(MAX_CHOICES);
    }
    Ok(courses)
}

/// Options of a select. The nil UUID stands for no course: the schema asks for one, and accepts any.
pub(super) fn options(courses: &[Course]) -> Vec<(String, String)> {
    let named =
        courses.iter().map(|course| (course.id.to_string(), format!("{} · {}", course.code, course.title)));
    named.chain([(Uuid::nil().to_string(), "No course".to_owned())]).collect()
}
