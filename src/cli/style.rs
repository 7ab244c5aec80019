//! Colours of the output.

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::config::common::ColorWhen;

/// Sets `--color` for this process: both outputs, and the logs.
pub fn choose(when: ColorWhen) {
    let choice = match when {
        ColorWhen::Auto => ColorChoice::Auto,
        ColorWhen::Always => ColorChoice::Always,
        ColorWhen::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// True if standard output gets colours: `--color`, then NO_COLOR and CLICOLOR_FORCE, then whether it is a terminal.
#[must_use]
pub fn on_stdout() -> bool {
    AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
}

/// True if standard error gets colours.
#[must_use]
pub fn on_stderr() -> bool {
    AutoStream::choice(&std::io::stderr()) != ColorChoice::Never
}

/// Style of headings.
pub const HEADING: Style = Style::new().bold();

/// Style of a state, a status or a level. Unknown words are plain.
#[must_use]
pub fn of_state(word: &str) -> Style {
    let colour = match word {
        "completed" | "applied" | "ok" => AnsiColor::Green,
        "running" | "downloading" => AnsiColor::Cyan,
        "discarded" | "failed" | "incomplete" | "FAIL" => AnsiColor::Red,
        "cancelled" | "warn" => AnsiColor::Yellow,
        word if word.starts_with("since ") => AnsiColor::Yellow,
        _ => return Style::new(),
    };
    Style::new().fg_color(Some(colour.into()))
}

/// The text in this style.
#[must_use]
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_red_and_an_unknown_word_is_plain() {
        assert_eq!(paint(of_state("failed"), "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(paint(of_state("available"), "available"), "available");
    }
}
