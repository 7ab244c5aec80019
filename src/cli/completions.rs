//! `bedel completions`.

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::output;
use crate::error::CliError;

/// Print the completions of a shell.
///
/// Bash: bedel completions bash > ~/.local/share/bash-completion/completions/bedel. Zsh: to _bedel in a directory
/// of $fpath. Fish: to ~/.config/fish/completions/bedel.fish.
#[derive(Debug, Args)]
pub struct CompletionsCommand {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: KnownShell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KnownShell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

impl CompletionsCommand {
    /// Prints the script.
    ///
    /// # Errors
    /// If standard output fails.
    pub fn run(&self, root: &Command) -> Result<(), CliError> {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut root.clone(), "bedel", &mut script);
        output::write(&String::from_utf8_lossy(&script))
    }
}
