//! Conditions on jobs, in a query string or a body.

use bedel_jobs::bulk::Selection;
use bedel_jobs::user::{self, MAX_FILTERED_LECTURES};
use bedel_queue::inspect::{Filter, JobState};
use sqlx::PgConnection;
use uuid::Uuid;

use super::body::Fields;
use super::problem::Problem;
use super::query::QueryFields;

/// Longest text of a condition, in characters.
const MAX_CHARS: usize = 200;

const STATES: &str = "this must be available, running, completed, discarded or cancelled";
const UUID: &str = "this must be a UUID";
const TIME: &str = "this must be a time such as 2026-11-26T12:00:00Z";

/// A filter whose user is not looked up yet.
pub(crate) struct JobFilter {
    pub(super) filter: Filter,
    user_id: Option<Uuid>,
}

impl JobFilter {
    pub(crate) fn from_query(query: &mut QueryFields) -> Self {
        let mut text = |field| query.parsed::<String>(field, "text", "this must be a text");
        let filter = Filter {
            kind: text("kind"),
            queue: text("queue"),
            error_class: text("error_class"),
            worker: text("worker"),
            group: text("host"),
            state: query.parsed("state", "choice", STATES),
            subject: query.parsed("lecture_id", "uuid", UUID),
            from: query.parsed("from", "time", TIME),
            until: query.parsed("until", "time", TIME),
            ..Filter::default()
        };
        let user_id = query.parsed("user_id", "uuid", UUID);
        for (field, message) in refused_texts(&filter) {
            query.refuse(field, "text", message);
        }
        Self { filter, user_id }
    }

    pub(super) fn from_body(fields: &mut Fields) -> Self {
        let mut uuid = |field| {
            let text = fields.text(field)?;
            text.parse().ok().or_else(|| fields.refuse(field, "uuid", UUID))
        };
        let (subject, user_id) = (uuid("lecture_id"), uuid("user_id"));
        let state = fields.text("state");
        let state = state.and_then(|text| {
            text.parse::<JobState>().ok().or_else(|| fields.refuse("state", "choice", STATES))
        });
        let filter = Filter {
            kind: fields.text("kind"),
            queue: fields.text("queue"),
            error_class: fields.text("error_class"),
            worker: fields.text("worker"),
            group: fields.text("host"),
            state,
            subject,
            from: fields.time("from"),
            until: fields.time("until"),
            ..Filter::default()
        };
        for (field, message) in refused_texts(&filter) {
            fields.refuse::<()>(field, "text", message);
        }
        Self { filter, user_id }
    }

    /// The filter, with the user's lectures as its subjects.
    pub(crate) async fn resolve(self, connection: &mut PgConnection) -> Result<Filter, Problem> {
        Ok(self.select(connection).await?.filter)
    }

    /// As [`resolve`](Self::resolve), for a bulk operation, which records the user instead.
    pub(crate) async fn select(self, connection: &mut PgConnection) -> Result<Selection, Problem> {
        let Some(user_id) = self.user_id else { return Ok(self.filter.into()) };
        let too_many = || {
            Problem::conflict(format!(
                "This user has more than {MAX_FILTERED_LECTURES} lectures: filter by lecture_id instead."
            ))
        };
        let lectures = user::filtered_lectures(connection, user_id).await?;
        let filter = Filter { subjects: Some(lectures.ok_or_else(too_many)?), ..self.filter };
        Ok(Selection { filter, user_id: Some(user_id) })
    }
}

/// PostgreSQL cannot store NUL characters.
fn refused_texts(filter: &Filter) -> Vec<(&'static str, &'static str)> {
    let texts = [
        ("kind", &filter.kind),
        ("queue", &filter.queue),
        ("error_class", &filter.error_class),
        ("worker", &filter.worker),
        ("host", &filter.group),
    ];
    texts
        .into_iter()
        .filter_map(|(field, text)| {
            let text = text.as_ref()?;
            if text.contains('\0') {
                return Some((field, "a NUL character cannot be stored: remove it"));
            }
            text.chars().nth(MAX_CHARS).map(|_| (field, "this is longer than 200 characters: shorten it"))
        })
        .collect()
}
