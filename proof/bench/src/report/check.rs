//! Aims, and hard limits.

use std::fmt::Write;

use crate::measure::Measure;
use crate::peers::floor;
use crate::report::{Report, figure};

/// Compares a figure with a bound from the same run.
struct Goal {
    what: &'static str,
    /// Hard limit and aim; `None` if there is no such bound.
    must: Option<f64>,
    aim: Option<f64>,
    /// True where more is better.
    more: bool,
    value: Option<f64>,
}

const JOBS: &str = "jobs_per_second";
const BEDEL: &str = "bedel";

fn goals(report: &Report) -> Vec<Goal> {
    let bedel = |measure, figure| report.median(BEDEL, measure, figure);
    let ratio = |value: Option<f64>, of: Option<f64>| value.zip(of).map(|(value, of)| value / of);
    let throughput = bedel(Measure::Throughput, JOBS);
    let against = |name, measure, figure| ratio(bedel(measure, figure), report.median(name, measure, figure));
    let kept = |measure| ratio(bedel(measure, JOBS), throughput);
    let best_latency =
        |figure| ratio(bedel(Measure::Latency, figure), report.best_peer(Measure::Latency, figure));
    let goal = |what, must, aim, more, value| Goal { what, must, aim, more, value };
    vec![
        goal("throughput, of raw", Some(0.5), Some(0.7), true, against("raw", Measure::Throughput, JOBS)),
        goal("throughput, of raw-2", None, None, true, against("raw-2", Measure::Throughput, JOBS)),
        goal(
            "throughput, of riverqueue",
            Some(2.0),
            Some(3.0),
            true,
            against("riverqueue", Measure::Throughput, JOBS),
        ),
        goal(
            "bulk enqueue, of raw",
            Some(0.5),
            Some(0.8),
            true,
            against("raw", Measure::Bulk, "inserts_per_second"),
        ),
        goal("latency p50, of the best peer", Some(1.0), None, false, best_latency("p50_ms")),
        goal(
            "latency p50, of the floor",
            None,
            Some(2.0),
            false,
            against(floor::NAME, Measure::Latency, "p50_ms"),
        ),
        goal("latency p99, of the best peer", None, Some(1.0), false, best_latency("p99_ms")),
        goal("many finished rows, of none", Some(0.9), None, true, kept(Measure::Finished)),
        goal("many jobs for later, of none", Some(0.9), None, true, kept(Measure::Later)),
        goal("pinned snapshot, of none", Some(0.8), None, true, kept(Measure::Pinned)),
        goal("four processes, of one", Some(0.8), None, true, kept(Measure::Processes)),
        goal("idle, queries/s", Some(2.0), None, false, bedel(Measure::Idle, "queries_per_second")),
        goal(
            "row versions per job",
            Some(2.0),
            None,
            false,
            // The worker's row and beats are a few versions in all: about none per job.
            bedel(Measure::Throughput, "row_versions_per_job")
                .map(|versions| (versions * 100.0).round() / 100.0),
        ),
    ]
}

/// One line for each goal with figures.
pub fn lines(report: &Report) -> String {
    let mut text = String::new();
    for goal in goals(report) {
        let Some(value) = goal.value else { continue };
        let sign = if goal.more { "at least" } else { "at most" };
        let judged = |bound: f64| if goal.is_met(value, bound) { "met" } else { "NOT MET" };
        let bounds: Vec<String> = [("must be", goal.must), ("aim", goal.aim)]
            .into_iter()
            .filter_map(|(name, bound)| Some((name, bound?)))
            .map(|(name, bound)| format!("{name} {sign} {}: {}", figure(bound), judged(bound)))
            .collect();
        let bounds = if bounds.is_empty() { String::new() } else { format!(" ({})", bounds.join("; ")) };
        let _ = writeln!(text, "- {}: {}{bounds}", goal.what, figure(value));
    }
    text
}

impl Goal {
    fn is_met(&self, value: f64, bound: f64) -> bool {
        if self.more { value >= bound } else { value <= bound }
    }
}

/// Prints which goals are met.
pub fn print(report: &Report) {
    println!("{}", lines(report));
}

#[cfg(test)]
mod tests {
    use super::Goal;

    #[test]
    fn bounds_have_a_direction() {
        let goal = |more| Goal { what: "", must: None, aim: None, more, value: None };
        assert!(goal(true).is_met(0.7, 0.7) && !goal(true).is_met(0.69, 0.7));
        assert!(goal(false).is_met(2.0, 2.0) && !goal(false).is_met(2.1, 2.0));
    }
}
