//! Query strings, read field by field.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::problem::{FieldError, Problem};
use super::state::ApiState;

/// The fields of a query string. Unknown fields are ignored; errors of known ones are collected.
pub(crate) struct QueryFields {
    map: HashMap<String, String>,
    errors: Vec<FieldError>,
}

impl FromRequestParts<ApiState> for QueryFields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await else {
            return Err(Problem::bad_request("The query string is malformed."));
        };
        let mut map = HashMap::with_capacity(pairs.len());
        for (name, value) in pairs {
            if map.insert(name, value).is_some() {
                return Err(Problem::bad_request("The query string repeats a field."));
            }
        }
        Ok(Self { map, errors: Vec::new() })
    }
}

impl QueryFields {
    /// Fields that were read elsewhere, such as in a form.
    pub(crate) fn of(map: HashMap<String, String>) -> Self {
        Self { map, errors: Vec::new() }
    }

    /// Parses a value. `message` says what it must be.
    pub(crate) fn parsed<T: FromStr>(
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

    /// Records an error of a field.
    pub(crate) fn refuse(&mut self, field: &'static str, code: &'static str, message: impl Display) {
        self.errors.push(FieldError { field, code, message: message.to_string() });
    }

    /// A whole number from `min` to `max`.
    pub(crate) fn number<T>(&mut self, field: &'static str, min: T, max: T) -> Option<T>
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

    /// 422 with all errors, if there are any.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(self.errors)) }
    }
}
