//! The jobs of a bulk operation: what the operator chose, and what is stored of it.

use bedel_queue::inspect::Filter;
use serde_json::{Value, json};
use uuid::Uuid;

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The filter. With a user its subjects are the user's lectures.
    pub filter: Filter,
    /// The user whose lectures the operator chose.
    pub user_id: Option<Uuid>,
}

impl From<Filter> for Selection {
    fn from(filter: Filter) -> Self {
        Self { filter, user_id: None }
    }
}

impl Selection {
    /// The conditions as the operator gave them, and the lectures of the user that they name.
    pub(super) fn split(&self) -> (Value, Option<Vec<Uuid>>) {
        let Some(user_id) = self.user_id else { return (json!(self.filter), None) };
        let mut given = self.filter.clone();
        let subjects = given.subjects.take();
        let mut conditions = json!(given);
        conditions["user_id"] = json!(user_id);
        (conditions, subjects)
    }

    /// The filter of stored conditions and lectures.
    pub(super) fn join(
        mut conditions: Value,
        subjects: Option<Vec<Uuid>>,
    ) -> Result<Filter, serde_json::Error> {
        if subjects.is_some() {
            conditions.as_object_mut().map(|fields| fields.remove("user_id"));
        }
        let filter: Filter = serde_json::from_value(conditions)?;
        Ok(Filter { subjects: subjects.or(filter.subjects), ..filter })
    }
}
