//! One run: rounds over all contenders, interleaved, on one server.

use crate::bench::Bench;
use crate::clock;
use crate::contender::{Contender, Tuning};
use crate::error::{BenchError, Result};
use crate::measure::{Measure, Sizes, Values};
use crate::measures::{self, latency};
use crate::options::RunOptions;
use crate::peers::{self, floor};
use crate::report::{self, Report, Sample};
use crate::server;

/// Measures, or reads what was measured, and tells it in the forms asked for.
pub async fn run(options: &RunOptions) -> Result<()> {
    let report = match &options.from {
        Some(path) => Report::read(path)?,
        None => measure(options).await?,
    };
    report::terminal::print(&report);
    if options.check || options.publish {
        report::check::print(&report);
    }
    if options.publish {
        report::markdown::publish(&report, &options.docs)?;
    }
    Ok(())
}

async fn measure(options: &RunOptions) -> Result<Report> {
    let contenders = chosen(options)?;
    let with_floor = options.only.is_empty() || options.only.iter().any(|name| name == floor::NAME);
    let tuning: Tuning = options.tune.parse()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let rounds = if options.quick { 1 } else { options.rounds };
    let cluster = server::start().await?;
    let mut report = Report::new(&cluster, &contenders, &tuning, sizes).await?;
    let bench = Bench { cluster: &cluster, sizes, tuning: &tuning };
    let measures: Vec<Measure> = Measure::ALL
        .into_iter()
        .filter(|m| options.measure.is_empty() || options.measure.contains(m))
        .collect();
    if let Some(path) = &options.more {
        report.go_on_from(Report::read(path)?, &measures)?;
    }
    for round in report.rounds..rounds {
        for measure in &measures {
            if with_floor && *measure == Measure::Latency {
                keep(&mut report, floor::NAME, *measure, round, latency::floor(&bench).await);
            }
            let part: Vec<_> = contenders.iter().filter(|contender| contender.takes_part(*measure)).collect();
            for turn in 0..part.len() {
                // Each round begins with another one, so that none is always the first or after the same one.
                let contender = part[(turn + round as usize) % part.len()];
                let since = clock::now();
                let outcome = measures::measure(&bench, *measure, contender.as_ref()).await;
                tracing::debug!(seconds = clock::seconds(since, clock::now()), "measured");
                keep(&mut report, contender.name(), *measure, round, outcome);
            }
        }
        // A run of most of an hour is not to be lost because its last minute is.
        report.rounds = round + 1;
        println!("\nresults: {}", report.write(&options.results)?.display());
    }
    cluster.stop().await;
    Ok(report)
}

fn chosen(options: &RunOptions) -> Result<Vec<Box<dyn Contender>>> {
    if let Some(unknown) = options
        .only
        .iter()
        .find(|name| *name != floor::NAME && !peers::all().iter().any(|c| c.name() == *name))
    {
        let known: Vec<_> = peers::all().iter().map(|contender| contender.name()).collect();
        return Err(BenchError::Usage(format!(
            "there is no contender `{unknown}`; known: {}",
            known.join(", ")
        )));
    }
    let chosen = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    Ok(peers::all().into_iter().filter(|contender| chosen(contender.name())).collect())
}

/// Prints and records one measurement. A failed one is recorded as a failure, so the others are not lost.
fn keep(report: &mut Report, contender: &str, measure: Measure, round: u32, outcome: Result<Values>) {
    let name = report::name_of(measure);
    let sample = match outcome {
        Ok(values) => {
            let figures: Vec<String> =
                values.iter().map(|(name, value)| format!("{name} {}", report::figure(*value))).collect();
            println!("{:>2} {name:<11} {contender:<16} {}", round + 1, figures.join("  "));
            Sample { contender: contender.to_owned(), measure, round, values, error: None }
        }
        Err(error) => {
            println!("{:>2} {name:<11} {contender:<16} FAILED: {error}", round + 1);
            let values = Values::default();
            Sample { contender: contender.to_owned(), measure, round, values, error: Some(error.to_string()) }
        }
    };
    report.samples.push(sample);
}
