//! The stored results of a run.

pub mod check;
mod machine;
pub mod markdown;
pub mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bedel_test_support::Cluster;
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Tuning};
use crate::error::{BenchError, Result, io};
use crate::measure::{Measure, Sizes, Values};

pub use machine::Machine;

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where and when.
    pub machine: Machine,
    /// How much of everything.
    pub sizes: Sizes,
    /// Complete rounds.
    pub rounds: u32,
    /// Contenders, in the order of the tables.
    pub contenders: Vec<Entry>,
    /// Every single measurement.
    pub samples: Vec<Sample>,
}

/// A contender as it took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The crate's version.
    pub version: String,
    /// What was set.
    pub settings: String,
}

/// One measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// Whose.
    pub contender: String,
    /// Of what.
    pub measure: Measure,
    /// From 0.
    pub round: u32,
    /// The figures.
    pub values: Values,
    /// Why there are none.
    pub error: Option<String>,
}

impl Report {
    /// A report without measurements.
    pub async fn new(
        cluster: &Cluster,
        contenders: &[Box<dyn Contender>],
        tuning: &Tuning,
        sizes: Sizes,
    ) -> Result<Self> {
        let entry = |contender: &dyn Contender| Entry {
            name: contender.name().to_owned(),
            version: contender.version().to_owned(),
            settings: contender.settings(tuning),
        };
        let contenders = contenders.iter().map(|contender| entry(contender.as_ref())).collect();
        Ok(Self { machine: Machine::look(cluster).await?, sizes, rounds: 0, contenders, samples: Vec::new() })
    }

    /// Adds the rounds of an earlier run, which must have the same `measures` and settings, on the same
    /// machine.
    pub fn go_on_from(&mut self, earlier: Self, measures: &[Measure]) -> Result<()> {
        let differs = if self.machine.is_another_than(&earlier.machine) {
            "the machine, PostgreSQL or the compiler"
        } else if self.sizes != earlier.sizes {
            "the amount of work"
        } else if self.contenders != earlier.contenders {
            "the contenders or their settings"
        } else if earlier.measures() != measures {
            "what is measured"
        } else {
            (self.machine, self.rounds, self.samples) = (earlier.machine, earlier.rounds, earlier.samples);
            return Ok(());
        };
        Err(BenchError::Usage(format!("the results to go on with are of another run: {differs} differs")))
    }

    /// Reads a report.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).map_err(io(format!("read {}", path.display())))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes the report into a file named by the date.
    pub fn write(&self, dir: &Path) -> Result<PathBuf> {
        fs::create_dir_all(dir).map_err(io(format!("create {}", dir.display())))?;
        let path = dir.join(format!("{}.json", self.machine.date.replace([':', ' '], "-")));
        self.write_to(&path)?;
        Ok(path)
    }

    /// Writes the report.
    pub fn write_to(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).map_err(io(format!("write {}", path.display())))
    }

    /// Median of a figure over the rounds.
    pub fn median(&self, contender: &str, measure: Measure, figure: &str) -> Option<f64> {
        let mut values: Vec<f64> = self
            .samples
            .iter()
            .filter(|sample| sample.contender == contender && sample.measure == measure)
            .filter_map(|sample| sample.values.get(figure).copied())
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        let (upper, lower) = (values.get(values.len() / 2)?, values.get((values.len() - 1) / 2)?);
        Some((upper + lower) / 2.0)
    }

    /// The best median of all peers.
    pub fn best_peer(&self, measure: Measure, figure: &str) -> Option<f64> {
        let medians = self.peers().filter_map(|entry| self.median(&entry.name, measure, figure));
        if less_is_better(figure) { medians.reduce(f64::min) } else { medians.reduce(f64::max) }
    }

    /// The measures that were made, in the order of a round.
    pub fn measures(&self) -> Vec<Measure> {
        let found: BTreeMap<Measure, ()> = self.samples.iter().map(|sample| (sample.measure, ())).collect();
        found.into_keys().collect()
    }

    /// Contenders other than Bedel and the limit.
    fn peers(&self) -> impl Iterator<Item = &Entry> {
        self.contenders
            .iter()
            .filter(|entry| !entry.name.starts_with("bedel") && !entry.name.starts_with("raw"))
    }
}

/// Whether less of a figure is better.
fn less_is_better(figure: &str) -> bool {
    figure.ends_with("_ms") || figure == "queries_per_second"
}

/// A measure's name on the command line.
pub fn name_of(measure: Measure) -> String {
    use clap::ValueEnum;
    measure.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A figure for people: three digits that matter, thousands apart.
pub fn figure(value: f64) -> String {
    if value >= 999.5 {
        let digits = format!("{value:.0}");
        let (mut text, length) = (String::new(), digits.len());
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (length - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Report, Sample, figure};
    use crate::measure::{Measure, Sizes, Values};
    use crate::report::Machine;

    fn report(processor: &str, settings: &str, rounds: u32) -> Report {
        let machine = Machine {
            date: String::new(),
            processor: processor.to_owned(),
            cores: 2,
            memory: 8.0,
            sync_microseconds: 700.0,
            system: String::new(),
            postgres: String::new(),
            settings: Vec::new(),
            rustc: String::new(),
        };
        let entry = Entry { name: "raw".to_owned(), version: "-".to_owned(), settings: settings.to_owned() };
        let sample = |round| Sample {
            contender: entry.name.clone(),
            measure: Measure::Bulk,
            round,
            values: Values::new(),
            error: None,
        };
        let samples = (0..rounds).map(sample).collect();
        Report { machine, sizes: Sizes::FULL, rounds, contenders: vec![entry], samples }
    }

    #[test]
    fn a_run_goes_on_where_the_same_one_stopped() {
        let mut run = report("a", "one lane", 0);
        let bulk = [Measure::Bulk];
        run.go_on_from(report("b", "one lane", 3), &bulk).expect_err("another machine");
        run.go_on_from(report("a", "two lanes", 3), &bulk).expect_err("other settings");
        run.go_on_from(report("a", "one lane", 3), &[Measure::Bulk, Measure::Idle])
            .expect_err("more measures");
        assert_eq!(run.rounds, 0);
        run.go_on_from(report("a", "one lane", 3), &bulk).expect("the same");
        assert_eq!(run.rounds, 3);
    }

    #[test]
    fn figures_are_readable() {
        let figures: Vec<String> = [0.5, 2.345, 12.34, 123.4, 1234.0, 1_234_567.0].map(figure).to_vec();
        assert_eq!(figures, ["0.50", "2.35", "12.3", "123", "1,234", "1,234,567"]);
    }
}
