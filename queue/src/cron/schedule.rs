//! A cron job and its expression.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::job::new_job::NewJob;

/// Where the search for an expression's first tick begins. 30 February never comes; 29 February comes within
/// eight years.
const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// What to do with ticks that passed while no scheduler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatchUp {
    /// Skip them.
    None,
    /// Enqueue the latest of them, once.
    Latest,
}

/// One cron job.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Stable name, stored.
    pub name: &'static str,
    /// Five fields (minute, hour, day, month, weekday) in UTC, or `@hourly`, `@daily`, `@weekly`, `@monthly`,
    /// `@yearly`. Supports names (`mon`, `jan`), lists, ranges, steps, `L` (last) and `#` (n-th weekday). If
    /// both day and weekday are restricted, either matches. There are no seconds and no years.
    pub cron: String,
    /// What to do with missed ticks.
    pub catch_up: CatchUp,
    /// The job of each tick. It keeps its unique key, so that a run started by hand also counts as live;
    /// without one it gets the schedule's. Two runs never overlap.
    pub job: NewJob,
}

/// Why a scheduler did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The cron expression is invalid.
    #[error("schedule `{name}`: `{cron}` is no cron expression (minute hour day month weekday): {reason}")]
    Cron {
        /// The schedule.
        name: &'static str,
        /// Its cron expression.
        cron: String,
        /// Why it is invalid.
        reason: String,
    },
    /// Two schedules have the same name and would take each other's ticks.
    #[error("schedule `{0}` is defined twice")]
    Duplicate(&'static str),
}

/// The first tick of a cron expression after a time, UTC. None if the expression is invalid.
#[must_use]
pub fn next_tick(cron: &str, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    parse("", cron).ok()?.find_next_occurrence(&after, false).ok()
}

pub(super) fn parse(name: &'static str, text: &str) -> Result<Cron, ScheduleError> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let refused = |reason| ScheduleError::Cron { name, cron: text.to_owned(), reason };
    let cron = parser.parse(text).map_err(|error| refused(error.to_string()))?;
    cron.find_next_occurrence(&EPOCH, true).map_err(|_| refused("no such day ever comes".to_owned()))?;
    Ok(cron)
}
