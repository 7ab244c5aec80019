//! The table on the terminal.

use crate::report::Report;
use crate::report::markdown::tables;

/// Prints medians.
pub fn print(report: &Report) {
    println!("\n{}", tables(report));
}
