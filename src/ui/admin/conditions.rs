//! Conditions on jobs, as an operator types them: in the address of a list, and in hidden fields of a form.

use std::collections::HashMap;

use bedel_jobs::error_class::ErrorClass;
use maud::{Markup, html};

use super::parts::plain;
use crate::api::job_filter::JobFilter;
use crate::api::problem::Problem;
use crate::api::query::QueryFields;
use crate::api::state::ApiState;
use crate::ui::form::{FormFields, Sent};

/// Names of the conditions, as the API has them.
const NAMES: [&str; 10] =
    ["kind", "state", "queue", "error_class", "worker", "host", "user_id", "lecture_id", "from", "until"];

/// The states with their names here.
const STATES: [(&str, &str); 5] = [
    ("available", "Waiting"),
    ("running", "Running"),
    ("completed", "Completed"),
    ("discarded", "Discarded"),
    ("cancelled", "Cancelled"),
];

/// Conditions as they were typed, without the empty ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions(HashMap<String, String>);

impl Conditions {
    /// Those of an address.
    pub(super) fn from_query(query: &mut QueryFields) -> Self {
        Self::new(|name| query.parsed::<String>(name, "text", "this must be a text").unwrap_or_default())
    }

    /// Those of a form.
    pub(super) fn from_form(form: &FormFields) -> Self {
        Self::new(|name| form.text(name).to_owned())
    }

    fn new(mut text: impl FnMut(&'static str) -> String) -> Self {
        let typed = NAMES.into_iter().map(|name| (name.to_owned(), text(name).trim().to_owned()));
        Self(typed.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// True without a condition.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The filter, or what is wrong.
    pub(super) fn filter(&self) -> Result<JobFilter, Problem> {
        let typed = self.0.iter().map(|(name, value)| {
            let is_time = matches!(name.as_str(), "from" | "until");
            (name.clone(), if is_time { with_zone(value) } else { value.clone() })
        });
        let mut fields = QueryFields::of(typed.collect());
        let filter = JobFilter::from_query(&mut fields);
        fields.finish()?;
        Ok(filter)
    }

    /// The conditions with more pairs, as a query string.
    pub(super) fn query(&self, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.typed());
        query.extend_pairs(more);
        query.finish()
    }

    /// The conditions as hidden fields.
    pub(super) fn hidden(&self) -> Markup {
        html! { @for (name, value) in self.typed() { input type="hidden" name=(name) value=(value); } }
    }

    /// The conditions as a list of words.
    pub(super) fn words(&self) -> Markup {
        html! {
            dl.facts { @for (name, value) in self.typed() { dt { (label(name)) } dd { (plain(value)) } } }
        }
    }

    fn typed(&self) -> impl Iterator<Item = (&'static str, &str)> {
        NAMES.into_iter().filter_map(|name| Some((name, self.0.get(name)?.as_str())))
    }

    /// The form, with what is wrong in it.
    pub(super) fn form(&self, state: &ApiState, problem: Option<Problem>) -> Markup {
        let errors = problem.map(|problem| problem.errors).unwrap_or_default();
        let sent = Sent { fields: FormFields::of(self.0.clone()), errors };
        let all = |name: &str| (String::new(), format!("All {name}"));
        let policies = state.registry.policies();
        let kinds = policies.iter().map(|(kind, _)| ((*kind).to_owned(), (*kind).to_owned()));
        let mut lanes: Vec<&str> = policies.iter().map(|(_, policy)| policy.queue).collect();
        lanes.sort_unstable();
        lanes.dedup();
        let lanes = lanes.into_iter().map(|lane| (lane.to_owned(), lane.to_owned()));
        let states = STATES.map(|(value, name)| (value.to_owned(), name.to_owned()));
        html! {
            form.filters method="get" action="/ui/admin/jobs" aria-label="Filter jobs" {
                (sent.choice("kind", label("kind"), "", &std::iter::once(all("kinds")).chain(kinds).collect::<Vec<_>>()))
                (sent.choice("state", label("state"), "", &std::iter::once(all("states")).chain(states).collect::<Vec<_>>()))
                (sent.choice("queue", label("queue"), "", &std::iter::once(all("lanes")).chain(lanes).collect::<Vec<_>>()))
                (sent.field("error_class", label("error_class"), "", &html! {
                    input #error_class name="error_class" list="classes" value=(sent.fields.text("error_class"))
                        autocomplete="off" aria-describedby="error_class-note";
                    datalist #classes { @for class in ErrorClass::ALL { option value=(class.name()) {} } }
                }))
                @for name in ["worker", "host", "user_id", "lecture_id"] { (sent.line(name, label(name), "", "text", false)) }
                @for name in ["from", "until"] {
                    @let typed = sent.fields.text(name);
                    (sent.line(name, label(name), "", if typed.is_empty() || is_local(typed) { "datetime-local" } else { "text" }, false))
                }
                div.actions {
                    button.button.main-action { "Show" }
                    @if !self.is_empty() { a.button href="/ui/admin/jobs" { "Clear" } }
                }
            }
        }
    }
}

fn label(name: &str) -> &'static str {
    match name {
        "kind" => "Kind",
        "state" => "State",
        "queue" => "Lane",
        "error_class" => "Error class",
        "worker" => "Worker",
        "host" => "Host",
        "user_id" => "User id",
        "lecture_id" => "Lecture id",
        "from" => "From (UTC)",
        _ => "Until (UTC)",
    }
}

/// True for the text of a browser's field for times, which has no zone.
fn is_local(text: &str) -> bool {
    let has_zone = text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']));
    text.is_ascii() && text.contains('T') && !has_zone
}

/// The label of such a field says UTC.
fn with_zone(text: &str) -> String {
    let seconds = if text.len() == "2026-11-26T12:00".len() { ":00" } else { "" };
    if is_local(text) { format!("{text}{seconds}Z") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_browser_are_utc() {
        for (typed, expected) in [
            ("2026-11-26T12:00", "2026-11-26T12:00:00Z"),
            ("2026-11-26T12:00:30", "2026-11-26T12:00:30Z"),
            ("2026-11-26T12:00:30Z", "2026-11-26T12:00:30Z"),
            ("2026-11-26T12:00:30+02:00", "2026-11-26T12:00:30+02:00"),
            ("soon", "soon"),
        ] {
            assert_eq!(with_zone(typed), expected);
        }
    }

    #[test]
    fn an_address_keeps_its_conditions_in_order() {
        let typed = [("until", "2026-11-26T12:00"), ("kind", "probe"), ("host", ""), ("other", "x")];
        let form = FormFields::of(typed.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let conditions = Conditions::from_form(&form);
        assert_eq!(conditions.query(&[("cursor", "1")]), "kind=probe&until=2026-11-26T12%3A00&cursor=1");
        assert!(conditions.filter().is_ok() && !conditions.is_empty());
        assert!(Conditions::default().is_empty());
    }
}
