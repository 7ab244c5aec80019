//! Text in columns.

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets};

/// Aligned columns without borders: readable in a pipe and on a terminal. Control characters become `?`,
/// since cells may hold untrusted text.
#[must_use]
pub fn render(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading);
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| clean(cell))));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A time to the second, in UTC.
#[must_use]
pub fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// One line without control characters, so that untrusted text cannot control the terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up_and_control_characters_are_replaced() {
        let text = super::render(
            &["ID", "REASON"],
            &[vec!["12345".into(), "a\u{1b}[31mb".into()], vec!["1".into(), "c".into()]],
        );
        assert_eq!(text, "ID     REASON\n12345  a?[31mb\n1      c\n");
    }
}
