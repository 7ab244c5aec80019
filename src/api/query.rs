//! Reading what a client asks for in the query of an address, field by field.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::problem::{FieldError, Problem};
use super::state::ApiState;

/// The fields of a query. Unknown ones are ignored; what is wrong with the known ones is collected.
pub(super) struct QueryFields {
    map: HashMap<String, String>,
    errors: Vec<FieldError>,
}

impl FromRequestParts<ApiState> for QueryFields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await else {
            return Err(Problem::bad_request("The query string cannot be read."));
        };
        let mut map = HashMap::with_capacity(pairs.len());
        for (name, value) in pairs {
            if map.insert(name, value).is_some() {
                return Err(Problem::bad_request("The query string names something twice."));
            }
        }
        Ok(Self { map, errors: Vec::new() })
    }
}

impl QueryFields {
    /// A value that is written as a text. `message` says what it must be.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        field: &'static str,
        code: &'static str,
        message: impl Display,
    ) -> Option<T> {
        let text = self.map.remove(field)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.errors.push(FieldError { field, code, message: message.to_string() });
        }
        parsed
    }

    /// Notes what is wrong with a field.
    pub(super) fn refuse(&mut self, field: &'static str, code: &'static str, message: impl Display) {
        self.errors.push(FieldError { field, code, message: message.to_string() });
    }

    /// A whole number from `min` to `max`.
    pub(super) fn number<T>(&mut self, field: &'static str, min: T, max: T) -> Option<T>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let text = self.map.remove(field)?;
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            let message = format!("this must be a whole number from {min} to {max}");
            self.errors.push(FieldError { field, code: "range", message });
        }
        number
    }

    /// 422 with all that was wrong, if anything was.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(self.errors)) }
    }
}
