//! Aligned columns for a person.

use chrono::{DateTime, Utc};

/// Rows under a heading, each column as wide as its widest cell; the last one is not padded. Control characters are
/// shown as `?`: cells may hold what a stranger wrote.
#[must_use]
pub fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(heading.iter().map(ToString::to_string).collect())
        .chain(rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()))
        .collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..heading.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A time to the second, in UTC.
#[must_use]
pub fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// One line without control characters, so that stored text cannot steer the terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up_and_nothing_steers_the_terminal() {
        let text = super::render(
            &["ID", "REASON"],
            &[vec!["12345".into(), "a\u{1b}[31mb".into()], vec!["1".into(), "c".into()]],
        );
        assert_eq!(text, "ID     REASON\n12345  a?[31mb\n1      c\n");
    }
}
