//! The configuration: one struct per concern. Each value has a flag and an environment variable. Tokens have
//! variables only: every user of the machine can read a command line.
//!
//! A file `.env` in the working directory is read first; it never overrides the environment. Secrets are
//! [`secrecy::SecretString`]: `--help`, `Debug` and errors do not show them.

use std::path::Path;

use clap::error::{ContextKind, ContextValue};

pub mod api;
pub mod auth;
pub mod common;
pub mod database;
pub mod jobs;
pub mod parse;
pub mod postgres;
pub mod schedule;
pub mod secret;
pub mod speech;
pub mod storage;
pub mod worker;

/// Why `.env` could not be read. The text never holds a value: values may be secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// The file exists and cannot be read.
    #[error("{file} cannot be read: {source}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line is not `NAME=value`.
    #[error("{file}, line {line}: not NAME=value. Put a value that has spaces or a # in 'single quotes'.")]
    Line {
        /// The file's name.
        file: String,
        /// Counted from 1.
        line: usize,
    },
}

/// Loads the variables of `file` into the environment of this process. Variables that are set already stay. A
/// missing file is no error. Call it before any other thread exists.
///
/// # Errors
/// If the file cannot be read or a line is not `NAME=value`.
pub fn read_env_file(file: &Path) -> Result<(), EnvFileError> {
    let name = file.display().to_string();
    match dotenvy::from_path(file) {
        Ok(()) => Ok(()),
        Err(dotenvy::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(dotenvy::Error::Io(source)) => Err(EnvFileError::Unreadable { file: name, source }),
        // The parser reports the bad text, part of a line or several, but no line number.
        Err(dotenvy::Error::LineParse(..)) => match bad_line(file) {
            Some(line) => Err(EnvFileError::Line { file: name, line }),
            None => {
                Err(EnvFileError::Unreadable { file: name, source: std::io::ErrorKind::InvalidData.into() })
            }
        },
        Err(_) => {
            Err(EnvFileError::Unreadable { file: name, source: std::io::ErrorKind::InvalidData.into() })
        }
    }
}

/// The first bad line: the one after the longest readable beginning of the file. Values may span lines, so a
/// shorter beginning may end inside a value.
fn bad_line(file: &Path) -> Option<usize> {
    let content = std::fs::read_to_string(file).ok()?;
    let lines: Vec<&str> = content.split_inclusive('\n').collect();
    let reads =
        |count: &usize| dotenvy::from_read_iter(lines[..*count].concat().as_bytes()).all(|line| line.is_ok());
    let good = (0..lines.len()).rev().find(reads)?;
    Some(good + 1)
}

/// Adds the variable that a bad value may have come from to an error of clap.
#[must_use]
pub fn name_variable(mut error: clap::Error, root: &clap::Command) -> clap::Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = argument.split([' ', '=']).next().unwrap_or_default().trim_start_matches("--").to_owned();
    let variable = variable_of(root, &flag);
    if let Some(variable) = variable {
        let mut tip = clap::builder::StyledStr::new();
        tip.push_str(&format!(
            "the value comes from --{flag} or from the variable {variable}, also in .env; --help lists what \
             it accepts"
        ));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

/// The variable of a flag of this command or of a subcommand.
fn variable_of(command: &clap::Command, flag: &str) -> Option<String> {
    let own = command.get_arguments().find(|argument| argument.get_long() == Some(flag));
    match own.and_then(clap::Arg::get_env) {
        Some(name) => Some(name.to_string_lossy().into_owned()),
        None => command.get_subcommands().find_map(|below| variable_of(below, flag)),
    }
}

#[cfg(test)]
mod tests {
    use super::{EnvFileError, read_env_file};

    #[test]
    fn a_missing_env_file_is_fine() {
        read_env_file(std::path::Path::new("/nonexistent/.env")).unwrap();
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_its_text_is_kept_out() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(".env");
        for bad in
            ["postgres hunter2 'oops\n", "BEDEL_TEST_A=17 * hunter2 *\n", "BEDEL_TEST_A='hunter2\nB=1\n"]
        {
            std::fs::write(&file, format!("# 17 * hunter2 *\nBEDEL_TEST_B='two\nlines'\n{bad}# more\n"))
                .unwrap();
            let error = read_env_file(&file).unwrap_err();
            assert!(matches!(error, EnvFileError::Line { line: 4, .. }), "{error:?}");
            assert!(!error.to_string().contains("hunter2") && !format!("{error:?}").contains("hunter2"));
        }
    }
}
