//! Prints two texts in columns.

/// Two texts side by side, each in a column of `width` characters.
pub fn side_by_side(left: (&str, &str), right: (&str, &str), width: usize) -> String {
    let columns = [left, right].map(|(title, text)| {
        let mut lines = vec![title.to_owned(), "-".repeat(width)];
        lines.extend(wrap(text, width));
        lines
    });
    let height = columns[0].len().max(columns[1].len());
    let line = |column: &[String], row: usize| column.get(row).cloned().unwrap_or_default();
    let rows =
        (0..height).map(|row| format!("{:<width$}  {}", line(&columns[0], row), line(&columns[1], row)));
    rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("at least one line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::side_by_side;

    #[test]
    fn two_texts_are_printed_side_by_side() {
        let text = side_by_side(("one", "a bb ccc dddd"), ("two", "a bb"), 7);
        assert_eq!(text, "one      two\n-------  -------\na bb     a bb\nccc\ndddd");
    }
}
