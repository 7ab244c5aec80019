//! `bedel man`.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::output;
use crate::error::CliError;

/// Print the manual page, or write the pages of all commands.
///
/// Example: bedel man --dir ~/.local/share/man/man1
#[derive(Debug, Args)]
pub struct ManCommand {
    /// Write a page for each command into this directory, which is created if missing
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl ManCommand {
    /// Prints or writes.
    ///
    /// # Errors
    /// If the output or the directory is not writable.
    pub fn run(&self, root: &Command) -> Result<(), CliError> {
        let Some(directory) = &self.dir else {
            let mut page = Vec::new();
            Man::new(root.clone()).render(&mut page).expect("memory takes everything");
            return output::write(&String::from_utf8_lossy(&page));
        };
        write(root, directory).map_err(|error| CliError::Failed(format!("{}: {error}", directory.display())))
    }
}

fn write(root: &Command, directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(root.clone(), directory)
}
