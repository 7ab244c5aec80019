//! The result of a command: text for people, or JSON.

use std::io::{ErrorKind, Write};

use clap::Args;
use serde::Serialize;

use super::table::is_unsafe;
use crate::error::CliError;

/// Form of a command's result.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputOptions {
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

impl OutputOptions {
    /// True with `--json`.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints the value as JSON with `--json`, else the text, which ends in a line break.
    ///
    /// # Errors
    /// If standard output fails. A closed pipe is not an error.
    pub fn print(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json { write(&json(value)) } else { write(&text()) }
    }
}

/// Writes to standard output.
///
/// # Errors
/// If it fails. A closed pipe is not an error: `bedel jobs list | head`.
pub fn write(text: &str) -> Result<(), CliError> {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// One line. Characters that control a terminal stand in strings only, where JSON can escape them.
fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("a result is plain data");
    let mut line = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if is_unsafe(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                line.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    #[test]
    fn json_holds_no_character_that_controls_a_terminal() {
        let hostile = "a\u{9b}2J\u{202e}\u{e0041}\u{7f}\n\u{e9}";
        let line = super::json(&hostile);
        assert_eq!(line, "\"a\\u009b2J\\u202e\\udb40\\udc41\\u007f\\n\u{e9}\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), hostile);
    }
}
