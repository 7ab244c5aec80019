//! Writes the table into the document.

use std::path::Path;

use sqlx::Connection;

use crate::error::FaultsError;
use crate::report::Report;
use crate::suite::{Form, Suite};

const BEGIN: &str = "<!-- table: begin -->\n";
const END: &str = "<!-- table: end -->";

/// Replaces the text between the two marks with the table and how it was made.
///
/// # Errors
/// If the file cannot be read or written, or has no marks.
pub async fn publish(file: &Path, report: &Report, suite: &Suite) -> Result<(), FaultsError> {
    let text = std::fs::read_to_string(file).map_err(FaultsError::file("read", file))?;
    let mut connection = sqlx::PgConnection::connect(&suite.server().await?.cluster.url("postgres")).await?;
    let (day, version): (String, String) =
        sqlx::query_as("-- publish\nSELECT now()::date::text, current_setting('server_version')")
            .fetch_one(&mut connection)
            .await?;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let form = if suite.form() == Form::Short { " --short" } else { "" };
    let made = format!(
        "{day}, PostgreSQL {version}, {cores} cores, by `FAULTS_SEED={} script/faults{form}`.\n\n",
        suite.seed()
    );
    let replaced = replace(&text, &format!("{made}{}\n", report.table()))
        .ok_or_else(|| FaultsError::NoMarks(file.to_owned()))?;
    std::fs::write(file, replaced).map_err(FaultsError::file("write", file))
}

fn replace(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}\nz\n");
        assert_eq!(replace(&text, "new\n"), Some(format!("a\n{BEGIN}new\n{END}\nz\n")));
        assert_eq!(replace("no marks", "new"), None);
    }
}
