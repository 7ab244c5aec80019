//! Text in columns.

use std::io::IsTerminal;

use chrono::{DateTime, Utc};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::style;

/// Columns between two cells.
const GAP: usize = 2;

/// Narrowest that a longer cell is shortened to.
const MIN_WIDTH: usize = 12;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    shrinks: bool,
    is_optional: bool,
    is_state: bool,
}

impl Column {
    /// A column whose cells are never shortened, such as an id that other commands take.
    #[must_use]
    pub const fn whole(title: &'static str) -> Self {
        Self { title, shrinks: false, is_optional: false, is_state: false }
    }

    /// A column of states, coloured.
    #[must_use]
    pub const fn state(title: &'static str) -> Self {
        Self { is_state: true, ..Self::whole(title) }
    }

    /// A column whose cells may be shortened to 12 characters.
    #[must_use]
    pub const fn text(title: &'static str) -> Self {
        Self { shrinks: true, ..Self::whole(title) }
    }

    /// The same column, left out of a terminal that is too narrow. The last optional column goes first.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }
}

impl From<&'static str> for Column {
    fn from(title: &'static str) -> Self {
        Self::text(title)
    }
}

/// Aligned columns without borders. On a terminal they fit its width: long cells end in `…`, optional columns
/// are left out, and states have colours. In a pipe nothing is shortened. Control characters become `?`, since
/// cells may hold untrusted text.
#[must_use]
pub fn render<C: Copy + Into<Column>>(columns: &[C], rows: &[Vec<String>]) -> String {
    let columns: Vec<Column> = columns.iter().map(|column| (*column).into()).collect();
    layout(&columns, rows, terminal_width(), style::on_stdout())
}

/// Width of the terminal on standard output. None in a pipe.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    let output = std::io::stdout();
    if !output.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&output).ok()?;
    // A terminal that does not know its size says 0.
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

fn layout(columns: &[Column], rows: &[Vec<String>], limit: Option<usize>, has_colours: bool) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let mut widths: Vec<usize> = columns.iter().map(|column| column.title.width()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.width().max(*width);
        }
    }
    let widths = match limit {
        Some(limit) => fit(columns, &widths, limit),
        None => widths.into_iter().map(Some).collect(),
    };
    let line = |cells: &mut dyn Iterator<Item = (&str, anstyle::Style)>| {
        let mut line = String::new();
        // Blanks of the cells so far: none end a line.
        let mut blanks = 0;
        for ((text, style), width) in cells.zip(&widths) {
            let Some(width) = *width else { continue };
            let text = shorten(text, width);
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', blanks));
                line.push_str(&if has_colours { style::paint(style, &text) } else { text.clone() });
                blanks = 0;
            }
            blanks += width - text.width() + GAP;
        }
        line.push('\n');
        line
    };
    let mut text = line(&mut columns.iter().map(|column| (column.title, style::HEADING)));
    for row in &rows {
        text.push_str(&line(&mut row.iter().zip(columns).map(|(cell, column)| {
            let style = if column.is_state { style::of_state(cell) } else { anstyle::Style::new() };
            (cell.as_str(), style)
        })));
    }
    text
}

/// The widths for a terminal. None for a column that is left out.
fn fit(columns: &[Column], natural: &[usize], limit: usize) -> Vec<Option<usize>> {
    let minimum = |place: usize| {
        if columns[place].shrinks { natural[place].min(MIN_WIDTH) } else { natural[place] }
    };
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let total = |shown: &[usize], width: &dyn Fn(usize) -> usize| -> usize {
        shown.iter().map(|place| width(*place) + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while total(&shown, &minimum) > limit {
        let Some(last) = shown.iter().rposition(|place| columns[*place].is_optional) else { break };
        shown.remove(last);
    }
    let mut widths: Vec<Option<usize>> = vec![None; columns.len()];
    for place in &shown {
        widths[*place] = Some(natural[*place]);
    }
    while total(&shown, &|place| widths[place].unwrap_or(0)) > limit {
        let widest = shown
            .iter()
            .copied()
            .filter(|place| columns[*place].shrinks && widths[*place] > Some(minimum(*place)))
            .max_by_key(|place| widths[*place]);
        let Some(widest) = widest else { break };
        widths[widest] = widths[widest].map(|width| width - 1);
    }
    widths
}

/// The text in at most `width` columns; a longer one ends in `…`.
#[must_use]
pub fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut shortened, mut used) = (String::new(), 1);
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        shortened.push(character);
    }
    if width > 0 {
        shortened.push('…');
    }
    shortened
}

/// A time to the second, in UTC.
#[must_use]
pub fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// One line without characters that control a terminal or reorder its text.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if is_unsafe(character) { '?' } else { character }).collect()
}

/// Several lines, each as from [`clean`].
#[must_use]
pub fn clean_lines(text: &str) -> String {
    text.split('\n').map(clean).collect::<Vec<_>>().join("\n")
}

/// True for characters that untrusted text must not bring to a terminal: control characters, line separators,
/// and those that change the direction of text (Unicode TR36, "bidirectional text spoofing") or are invisible tags.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column::whole("JOB"),
        Column::state("STATE"),
        Column::whole("WORKER").optional(),
        Column::text("REASON"),
    ];

    fn rows() -> Vec<Vec<String>> {
        vec![
            vec![
                "0123456789".into(),
                "failed".into(),
                "host:1".into(),
                "a reason that is rather long".into(),
            ],
            vec!["1".into(), "available".into(), String::new(), String::new()],
        ]
    }

    #[test]
    fn columns_line_up_and_control_characters_are_replaced() {
        let text = render(
            &["ID", "REASON"],
            &[vec!["12345".into(), "a\u{1b}[31mb\u{202e}c".into()], vec!["1".into(), "c".into()]],
        );
        assert_eq!(text, "ID     REASON\n12345  a?[31mb?c\n1      c\n");
    }

    #[test]
    fn a_pipe_gets_whole_cells_and_no_colours() {
        let text = layout(&COLUMNS, &rows(), None, false);
        assert_eq!(
            text,
            "JOB         STATE      WORKER  REASON\n\
             0123456789  failed     host:1  a reason that is rather long\n\
             1           available\n"
        );
    }

    #[test]
    fn a_terminal_gets_shortened_cells_then_fewer_columns() {
        let text = layout(&COLUMNS, &rows(), Some(45), false);
        assert!(text.contains("host:1  a reason that…\n"), "{text}");
        let text = layout(&COLUMNS, &rows(), Some(40), false);
        assert!(!text.contains("WORKER") && text.contains("failed     a reason that is…\n"), "{text}");
        for width in [36, 40, 45, 60, 200] {
            let text = layout(&COLUMNS, &rows(), Some(width), false);
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
            assert!(text.contains("0123456789"), "an id is whole: {text}");
        }
    }

    #[test]
    fn colours_do_not_move_columns() {
        let text = layout(&COLUMNS, &rows(), Some(45), true);
        assert!(text.contains("\u{1b}[31mfailed\u{1b}[0m     host:1"), "{text:?}");
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            layout(&COLUMNS, &rows(), Some(45), false)
        );
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(shorten("漢字漢字", 8), "漢字漢字");
        assert_eq!(shorten("漢字漢字", 7), "漢字漢…");
        assert_eq!(shorten("漢字漢字", 6), "漢字…");
        assert_eq!(shorten("abc", 0), "");
    }
}
