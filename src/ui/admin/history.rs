//! Charts of the last hour and the last day, with the same numbers as tables.

use std::time::Duration;

use bedel_queue::{Activity, activity};
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use sqlx::PgConnection;

use super::parts::number;
use crate::ui::chart;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What the charts show.
pub(super) struct History {
    hour: Series,
    day: Series,
}

/// Counts of one chart, step by step.
struct Series {
    from: DateTime<Utc>,
    step: TimeDelta,
    completed: Vec<u64>,
    /// Failed attempts.
    failed: Vec<u64>,
    discarded: u64,
}

/// Reads both.
pub(super) async fn read(connection: &mut PgConnection) -> Result<History, sqlx::Error> {
    let hour = Series::of(&activity(connection, HOUR, MINUTE).await?);
    let day = Series::of(&activity(connection, 24 * HOUR, 15 * MINUTE).await?);
    Ok(History { hour, day })
}

impl Series {
    fn of(activity: &Activity) -> Self {
        let step = TimeDelta::seconds(i64::try_from(activity.step_seconds).unwrap_or(60).max(60));
        let place =
            |at: DateTime<Utc>| usize::try_from((at - activity.from).num_seconds() / step.num_seconds()).ok();
        let steps = place(activity.until - TimeDelta::seconds(1)).map_or(0, |last| last + 1);
        let mut series = Self {
            from: activity.from,
            step,
            completed: vec![0; steps],
            failed: vec![0; steps],
            discarded: 0,
        };
        for row in &activity.rows {
            let Some(at) = place(row.at).filter(|at| *at < steps) else { continue };
            series.completed[at] += row.completed.unsigned_abs();
            series.failed[at] += row.failed.unsigned_abs();
            series.discarded += row.discarded.unsigned_abs();
        }
        series
    }

    fn start(&self, at: usize) -> DateTime<Utc> {
        self.from + self.step * i32::try_from(at).unwrap_or(0)
    }

    /// The chart in words.
    fn words(&self) -> String {
        let [completed, failed] = [&self.completed, &self.failed].map(|values| total(values));
        let mut text = format!(
            "{} jobs completed, {} attempts failed, {} jobs discarded",
            shown(completed),
            shown(failed),
            shown(self.discarded)
        );
        let busiest = self.completed.iter().enumerate().max_by_key(|(_, count)| **count);
        if let Some((at, count)) = busiest.filter(|(_, count)| **count > 0) {
            text.push_str(&format!("; most at {}: {}", self.start(at).format("%H:%M UTC"), shown(*count)));
        }
        text
    }
}

fn total(values: &[u64]) -> u64 {
    values.iter().sum()
}

fn shown(count: u64) -> String {
    number(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The charts. They ask for themselves: a minute is counted after it is over, which is no event.
pub(super) fn view(history: &History) -> Markup {
    html! {
        div #history.stack hx-get="/ui/admin/overview?part=history" hx-swap="outerHTML" hx-trigger="every 150s" {
            (panel("hour", "Last hour, per minute", &history.hour, 5))
            (panel("day", "Last day, per 15 minutes", &history.day, 4))
        }
    }
}

/// `rows_of`: steps of a row of the table.
fn panel(id: &str, title: &str, series: &Series, rows_of: usize) -> Markup {
    let words = series.words();
    let label = |at: usize| {
        let (completed, failed) = (series.completed[at], series.failed[at]);
        format!("{}: {completed} completed, {failed} failed", series.start(at).format("%H:%M UTC"))
    };
    html! {
        section.panel aria-labelledby={ (id) "-heading" } {
            header { h2 id={ (id) "-heading" } { (title) } p.soft.small { (words) } }
            div.body {
                (chart::bars(title, &words, &series.completed, &series.failed, label))
                details {
                    summary { "The numbers" }
                    table {
                        caption.sr { (title) ", as numbers" }
                        thead { tr {
                            th scope="col" { "From (UTC)" } th.right scope="col" { "Completed" }
                            th.right scope="col" { "Failed attempts" }
                        } }
                        tbody { @for (row, counts) in series.completed.chunks(rows_of).enumerate() { tr {
                            @let at = row * rows_of;
                            th.cell scope="row" { (series.start(at).format("%H:%M").to_string()) }
                            td.right { (shown(total(counts))) }
                            td.right { (shown(total(&series.failed[at..at + counts.len()]))) }
                        } } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bedel_queue::ActivityRow;

    use super::*;

    #[test]
    fn counts_fall_into_their_steps() {
        let from: DateTime<Utc> = "2026-11-26T12:00:00Z".parse().unwrap();
        let row = |minute: i64, completed, failed| ActivityRow {
            at: from + TimeDelta::minutes(minute),
            kind: "probe".to_owned(),
            queue: "media".to_owned(),
            completed,
            discarded: 1,
            cancelled: 0,
            failed,
        };
        let rows = vec![row(0, 2, 0), row(2, 3, 1), row(2, 4, 0), row(9, 9, 9)];
        let series =
            Series::of(&Activity { from, until: from + TimeDelta::minutes(3), step_seconds: 60, rows });
        assert_eq!((series.completed.as_slice(), series.failed.as_slice()), (&[2, 0, 7][..], &[0, 0, 1][..]));
        assert_eq!(
            series.words(),
            "9 jobs completed, 1 attempts failed, 3 jobs discarded; most at 12:02 UTC: 7"
        );
    }
}
