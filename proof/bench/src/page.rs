//! A page with one table: measure, median, aim.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::error::{Result, io};
use crate::report::figure;

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    what: &'static str,
    median: String,
    aim: String,
}

impl Row {
    /// A figure without an aim.
    pub fn plain(what: &'static str, median: f64) -> Self {
        Self { what, median: figure(median), aim: String::new() }
    }

    /// A figure with a minimum.
    pub fn at_least(what: &'static str, median: f64, aim: f64) -> Self {
        Self::judged(what, median, format!("at least {aim}"), median >= aim)
    }

    /// A figure with a maximum.
    pub fn at_most(what: &'static str, median: f64, aim: f64) -> Self {
        Self::judged(what, median, format!("at most {aim}"), median <= aim)
    }

    /// A figure with an exclusive maximum.
    pub fn less_than(what: &'static str, median: f64, aim: f64) -> Self {
        Self::judged(what, median, format!("less than {aim}"), median < aim)
    }

    fn judged(what: &'static str, median: f64, aim: String, met: bool) -> Self {
        let aim = format!("{aim}: {}", if met { "met" } else { "NOT MET" });
        Self { what, median: figure(median), aim }
    }
}

/// The rows in their order.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from("| what | median | aim |\n| --- | ---: | --- |\n");
    for Row { what, median, aim } in rows {
        let _ = writeln!(text, "| {what} | {median} | {aim} |");
    }
    text
}

/// The median; the higher of two.
pub fn median<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Writes a page and prints its path.
pub fn publish(page: &Path, text: &str) -> Result<()> {
    fs::write(page, text).map_err(io(format!("write {}", page.display())))?;
    println!("written: {}", page.display());
    Ok(())
}
