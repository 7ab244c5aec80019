//! Outcomes of rounds, and the table of all scenarios.

use std::fmt::Write;

use crate::error::FaultsError;

/// Milliseconds from kills to rescues.
#[derive(Debug, Clone, Default)]
pub struct Rescues {
    /// Until a job of the killed process was available again.
    pub available: Vec<i64>,
    /// Until its handler started again.
    pub started: Vec<i64>,
}

/// Outcome of one round, or the sum of many.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Rounds played.
    pub rounds: u32,
    /// Jobs checked.
    pub jobs: usize,
    /// Injected faults: signals, cuts, restarts.
    pub faults: usize,
    /// Jobs whose work or successor is missing; processes that ended by themselves.
    pub lost: usize,
    /// Jobs with two commits or two successors, files of another attempt than the one that counts, ticks that ran twice.
    pub doubled: usize,
    /// Jobs that were not final at the deadline; rounds with an error.
    pub stuck: usize,
    /// Jobs with more errors, crashes or claims than the plan's faults explain.
    pub over_budget: usize,
    /// How long the rescues took.
    pub rescues: Rescues,
    /// What broke, in words.
    pub details: Vec<String>,
}

impl Outcome {
    /// A round with an error.
    pub fn broken(error: &FaultsError) -> Self {
        Self { rounds: 1, stuck: 1, details: vec![error.to_string()], ..Self::default() }
    }

    /// Prefixes the details with the round's number.
    pub fn of_round(mut self, number: u32) -> Self {
        for detail in &mut self.details {
            *detail = format!("round {number}: {detail}");
        }
        self
    }

    /// The sum.
    pub fn and(mut self, other: Self) -> Self {
        self.rounds += other.rounds;
        self.jobs += other.jobs;
        self.faults += other.faults;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.stuck += other.stuck;
        self.over_budget += other.over_budget;
        self.rescues.available.extend(other.rescues.available);
        self.rescues.started.extend(other.rescues.started);
        self.details.extend(other.details);
        self
    }

    /// Counts one that is lost.
    pub fn lost(&mut self, detail: String) {
        self.lost += 1;
        self.details.push(format!("lost: {detail}"));
    }

    /// Counts one that is doubled.
    pub fn doubled(&mut self, detail: String) {
        self.doubled += 1;
        self.details.push(format!("doubled: {detail}"));
    }

    /// Counts one that is stuck.
    pub fn stuck(&mut self, detail: String) {
        self.stuck += 1;
        self.details.push(format!("stuck: {detail}"));
    }

    /// Counts one that is over its budget.
    pub fn over_budget(&mut self, detail: String) {
        self.over_budget += 1;
        self.details.push(format!("over budget: {detail}"));
    }

    fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.stuck + self.over_budget == 0
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// The scenario's name, as `--only` takes it.
    pub name: &'static str,
    /// What was done.
    pub title: &'static str,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The whole table.
#[derive(Debug, Default)]
pub struct Report {
    /// One line per scenario.
    pub rows: Vec<Row>,
}

/// Details shown per scenario.
const DETAILS: usize = 12;

impl Report {
    /// True where nothing was lost, doubled, stuck or over its budget, and something was played.
    pub fn is_clean(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.outcome.is_clean() && row.outcome.rounds > 0)
    }

    /// The table in Markdown, with the rescue times and what broke.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| scenario | what happens | rounds | faults | jobs | lost | doubled | stuck | over budget |\n\
             |---|---|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for Row { name, title, outcome } in &self.rows {
            let Outcome { rounds, faults, jobs, lost, doubled, stuck, over_budget, .. } = outcome;
            let _ = writeln!(
                text,
                "| `{name}` | {title} | {rounds} | {faults} | {jobs} | {lost} | {doubled} | {stuck} | {over_budget} |"
            );
        }
        text.push_str(&self.rescue_table());
        for Row { name, outcome, .. } in &self.rows {
            for detail in outcome.details.iter().take(DETAILS) {
                let _ = write!(text, "\n{name}: {detail}");
            }
            if outcome.details.len() > DETAILS {
                let _ = write!(text, "\n{name}: … and {} more", outcome.details.len() - DETAILS);
            }
        }
        text
    }

    fn rescue_table(&self) -> String {
        let mut text = String::new();
        for Row { name, outcome, .. } in &self.rows {
            let Rescues { available, started } = &outcome.rescues;
            for (what, values) in [("available again", available), ("started again", started)] {
                if values.is_empty() {
                    continue;
                }
                if text.is_empty() {
                    text.push_str("\n| from kill -9 to the job being | jobs | p50 | p99 | max |\n|---|--:|--:|--:|--:|\n");
                }
                let mut sorted = values.clone();
                sorted.sort_unstable();
                let [p50, p99, max] = [50, 99, 100].map(|share| percentile(&sorted, share) as f64 / 1000.0);
                let jobs = sorted.len();
                let _ =
                    writeln!(text, "| {what}, `{name}` | {jobs} | {p50:.1} s | {p99:.1} s | {max:.1} s |");
            }
        }
        text
    }
}

/// The smallest value that `share` percent of the sorted values do not exceed.
fn percentile(sorted: &[i64], share: usize) -> i64 {
    let rank = (sorted.len() * share).div_ceil(100).max(1);
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<i64> = (1..=200).collect();
        assert_eq!([50, 99, 100].map(|share| percentile(&values, share)), [100, 198, 200]);
        assert_eq!(percentile(&[7], 50), 7);
    }

    #[test]
    fn one_broken_job_makes_the_report_red() {
        let row = |outcome| Row { name: "x", title: "x", outcome };
        let clean = Outcome { rounds: 1, ..Outcome::default() };
        assert!(Report { rows: vec![row(clean.clone())] }.is_clean());
        for broken in [
            Outcome { lost: 1, ..clean.clone() },
            Outcome { doubled: 1, ..clean.clone() },
            Outcome { stuck: 1, ..clean.clone() },
            Outcome { over_budget: 1, ..clean.clone() },
            Outcome::default(),
        ] {
            assert!(!Report { rows: vec![row(clean.clone()), row(broken)] }.is_clean());
        }
        assert!(!Report::default().is_clean());
    }
}
