//! A user's lectures, newest first, in pages.
//!
//! A page costs the same for any number of lectures. It starts where the last one ended, in the index that
//! sorts a user's links, and reads a bounded number of links.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::view::{self, Filter, LectureView};

/// Most lectures in a page.
pub const MAX_LIMIT: u16 = 100;

/// Links that a filtered page reads. If few lectures match, a page holds fewer than its limit, and the next
/// one continues after them.
const FILTER_SCAN_LIMIT: i64 = 1000;

/// Where a page ended: the time of a link and its lecture. Its text is opaque to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(super) linked_at: DateTime<Utc>,
    pub(super) lecture_id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.linked_at.timestamp_micros(), self.lecture_id.simple())
    }
}

/// Error of parsing a [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid cursor: omit it for the first page, then copy `next_cursor` from the page before")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (time, id) = text.split_once('.').ok_or(InvalidCursor)?;
        let micros = i64::from_str_radix(time, 16).map_err(|_| InvalidCursor)?;
        let linked_at = DateTime::from_timestamp_micros(micros).ok_or(InvalidCursor)?;
        let lecture_id = Uuid::try_parse(id).map_err(|_| InvalidCursor)?;
        let cursor = Self { linked_at, lecture_id };
        // Only the canonical spelling, and only years that the database supports.
        if cursor.to_string() == text && (0..=MAX_MICROS).contains(&micros) {
            Ok(cursor)
        } else {
            Err(InvalidCursor)
        }
    }
}

/// End of the year 9999.
const MAX_MICROS: i64 = 253_402_300_799_999_999;

/// A page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The lectures, newest link first.
    pub lectures: Vec<LectureView>,
    /// Start of the next page; `None` after the last.
    pub next: Option<Cursor>,
}

/// The lectures that `user_id` is linked to, after `after`, at most `limit` (1 to [`MAX_LIMIT`]). Two
/// statements.
pub async fn page(
    connection: &mut PgConnection,
    user_id: Uuid,
    filter: Filter,
    after: Option<Cursor>,
    limit: u16,
) -> Result<Page, sqlx::Error> {
    let limit = usize::from(limit.clamp(1, MAX_LIMIT));
    let is_filtered = filter.course_id.is_some() || filter.status.is_some();
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let scan_limit = if is_filtered { FILTER_SCAN_LIMIT } else { one_more };
    let links: Vec<(DateTime<Utc>, Uuid)> = sqlx::query_as(
        "-- list::links
         SELECT created_at, lecture_id FROM user_lectures
         WHERE user_id = $1
             AND (created_at, lecture_id) < (coalesce($2, 'infinity'::timestamptz),
                                             coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
         ORDER BY created_at DESC, lecture_id DESC
         LIMIT $4",
    )
    .bind(user_id)
    .bind(after.map(|cursor| cursor.linked_at))
    .bind(after.map(|cursor| cursor.lecture_id))
    .bind(scan_limit)
    .fetch_all(&mut *connection)
    .await?;

    let ids: Vec<Uuid> = links.iter().map(|(_, id)| *id).collect();
    let mut lectures = view::among(connection, &ids, filter, one_more).await?;
    let has_more = lectures.len() > limit;
    lectures.truncate(limit);
    let last = if has_more {
        lectures.last().and_then(|lecture| links.iter().find(|(_, id)| *id == lecture.id))
    } else {
        links.last().filter(|_| i64::try_from(links.len()) == Ok(scan_limit))
    };
    let next = last.map(|(linked_at, lecture_id)| Cursor { linked_at: *linked_at, lecture_id: *lecture_id });
    Ok(Page { lectures, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_a_round_trip() {
        let cursor = Cursor {
            linked_at: DateTime::from_timestamp_micros(1_764_000_000_123_456).unwrap(),
            lecture_id: Uuid::from_u128(0x26b3_ae9e_4a48_4dcc_96ba_0bef_ba08_a0fb),
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn malformed_cursors_are_refused() {
        let id = "26b3ae9e4a484dcc96ba0befba08a0fb";
        for text in [
            String::new(),
            ".".to_owned(),
            "1".to_owned(),
            format!("-1.{id}"),
            format!("+1.{id}"),
            format!("01.{id}"),
            format!("7fffffffffffffff.{id}"),
            format!("1.{id}0"),
            format!("1.{}", Uuid::nil()),
            "1.\u{202e}".to_owned(),
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
