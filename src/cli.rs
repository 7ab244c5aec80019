//! The command line.
//!
//! Exit codes: 0 success, 1 failure, 2 invalid arguments or configuration.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::api;
use crate::config;
use crate::config::common::CommonOptions;
use crate::error::CliError;
use crate::run::api::ApiCommand;
use crate::run::dev::{self, DevCommand};
use crate::run::logging;
use crate::run::scheduler::SchedulerCommand;
use crate::run::worker::WorkerCommand;

pub mod audit;
pub mod bulk;
pub mod completions;
pub mod courses;
pub mod doctor;
pub mod enqueue;
pub mod job_filter;
pub mod jobs;
pub mod lectures;
pub mod man;
pub mod migrate;
pub mod model;
mod notify;
mod option_flags;
pub mod output;
pub mod progress;
pub mod queues;
pub mod remote;
pub mod search;
pub mod style;
pub mod submit;
pub mod table;
pub mod token;
pub mod top;
pub mod transcribe;
pub mod user;
pub mod webhooks;

/// Bedel turns Panopto links into stored transcripts. Every step is a durable job in PostgreSQL.
///
/// Every value except tokens has a flag. Every value has an environment variable, shown beside its flag,
/// which may also stand in a file .env in the working directory. Flags win over the environment, the
/// environment over .env. .env.example lists all variables.
#[derive(Debug, Parser)]
#[command(name = "bedel", version, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    common: CommonOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the HTTP API
    Api(ApiCommand),
    /// Run jobs until SIGTERM
    Worker(WorkerCommand),
    /// Fire the cron jobs; with several schedulers each tick still fires once
    Scheduler(SchedulerCommand),
    /// Bring the database's schema up to date
    Migrate(migrate::MigrateCommand),
    /// Run everything on this machine, on a private PostgreSQL
    Dev(Box<DevCommand>),
    /// Submit a recording by its Panopto link
    Submit(submit::SubmitCommand),
    /// List your lectures, or transcribe one again
    Lectures(lectures::LecturesCommand),
    /// Find what was said in your lectures
    Search(search::SearchCommand),
    /// Tell other programs when your lectures end
    #[command(subcommand)]
    Webhooks(webhooks::WebhooksCommand),
    /// Read the course catalogue
    #[command(subcommand)]
    Courses(courses::CoursesCommand),
    /// Enqueue a job of any kind
    Enqueue(enqueue::EnqueueCommand),
    /// List, retry and cancel jobs
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// List, pause and resume queues
    Queues(queues::QueuesCommand),
    /// List what operators did
    Audit(audit::AuditCommand),
    /// Watch the queue live in the terminal
    Top(Box<top::TopCommand>),
    /// Create, list and revoke API tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Delete a user and everything that belongs to them
    #[command(subcommand)]
    User(user::UserCommand),
    /// Print the description of the HTTP API, OpenAPI 3.1
    Openapi,
    /// Transcribe a local file, without a database
    Transcribe(Box<transcribe::TranscribeCommand>),
    /// Install and check speech models
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Check everything that Bedel needs and say how to fix what is missing
    Doctor(Box<doctor::DoctorCommand>),
    /// Print the completions of a shell
    Completions(completions::CompletionsCommand),
    /// Print the manual page, or write the pages of all commands
    Man(man::ManCommand),
}

impl Command {
    fn fills_the_terminal(&self) -> bool {
        matches!(self, Self::Top(command) if command.is_live())
    }

    fn role(&self) -> &'static str {
        match self {
            Self::Api(_) => "api",
            Self::Worker(_) => "worker",
            Self::Scheduler(_) => "scheduler",
            Self::Dev(_) => "dev",
            _ => "bedel",
        }
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    // Changes the environment, so no other thread may exist yet.
    if let Err(error) = config::read_env_file(Path::new(".env")) {
        return report(&CliError::Usage(error.to_string()));
    }
    let command = Cli::command();
    let parsed =
        command.clone().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (mut cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => config::name_variable(error, &command).exit(),
    };
    style::choose(cli.common.color);
    if cli.command.fills_the_terminal() && std::io::stderr().is_terminal() {
        // A log line would be drawn into the view.
        cli.common.log = "off".to_owned();
    }
    if let Err(message) = logging::start(&cli.common, cli.command.role()) {
        return report(&CliError::Usage(message));
    }
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider was installed already");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&CliError::Failed(format!("no runtime: {error}"))),
    };
    let outcome = runtime.block_on(dispatch(cli, &command, &matches));
    // Do not wait for blocking work that never ends: its lease is released.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

async fn dispatch(cli: Cli, root: &clap::Command, matches: &ArgMatches) -> Result<(), CliError> {
    let common = &cli.common;
    match cli.command {
        Command::Api(command) => crate::run::api::run(&command, common).await,
        Command::Worker(command) => crate::run::worker::run(&command, common).await,
        Command::Scheduler(command) => crate::run::scheduler::run(&command, common).await,
        Command::Migrate(command) => command.run(common).await,
        Command::Dev(mut command) => {
            let sub = matches.subcommand_matches("dev").expect("the command that was parsed");
            command.drain_is_configured = source(sub, "drain_seconds") != Some(ValueSource::DefaultValue);
            let explicit = explicit_settings(root, "dev", sub);
            dev::run(common, &command, explicit).await
        }
        Command::Submit(command) => command.run(common).await,
        Command::Lectures(command) => command.run(common).await,
        Command::Search(command) => command.run(common).await,
        Command::Webhooks(command) => command.run(common).await,
        Command::Courses(command) => command.run(common).await,
        Command::Enqueue(command) => command.run(common).await,
        Command::Jobs(command) => command.run(common).await,
        Command::Queues(command) => command.run(common).await,
        Command::Audit(command) => command.run(common).await,
        Command::Top(command) => command.run(common).await,
        Command::Token(command) => command.run(common).await,
        Command::User(command) => command.run(common).await,
        Command::Openapi => output::write(&api::description()),
        Command::Transcribe(command) => command.run().await,
        Command::Model(command) => command.run().await,
        Command::Doctor(command) => command.run(common).await,
        Command::Completions(command) => command.run(root),
        Command::Man(command) => command.run(root),
    }
}

/// The flags that were given, as environment variables: child processes inherit the environment only.
fn explicit_settings(root: &clap::Command, name: &str, matches: &ArgMatches) -> Vec<(OsString, OsString)> {
    let command = root.find_subcommand(name).expect("the name of a subcommand");
    root.get_arguments()
        .chain(command.get_arguments())
        .filter(|argument| source(matches, argument.get_id().as_str()) == Some(ValueSource::CommandLine))
        .filter_map(|argument| {
            let variable = argument.get_env()?.to_owned();
            let values: Vec<_> = matches.get_raw(argument.get_id().as_str())?.collect();
            Some((variable, values.join(std::ffi::OsStr::new(","))))
        })
        .collect()
}

fn source(matches: &ArgMatches, id: &str) -> Option<ValueSource> {
    if matches.try_contains_id(id).unwrap_or(false) { matches.value_source(id) } else { None }
}

#[expect(clippy::print_stderr, reason = "the program's answer on a terminal")]
fn report(error: &CliError) -> ExitCode {
    eprintln!("bedel: {}", table::clean_lines(&error.to_string()));
    ExitCode::from(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_reach_the_children_as_variables() {
        let root = Cli::command();
        let matches = root
            .clone()
            .try_get_matches_from([
                "bedel",
                "--log",
                "debug",
                "dev",
                "--slots",
                "download=2,probe=1",
                "--listen",
                "127.0.0.1:0",
            ])
            .unwrap();
        let settings = explicit_settings(&root, "dev", matches.subcommand_matches("dev").unwrap());
        for (name, value) in
            [("BEDEL_LOG", "debug"), ("BEDEL_SLOTS", "download=2,probe=1"), ("BEDEL_LISTEN", "127.0.0.1:0")]
        {
            assert!(settings.contains(&(name.into(), value.into())), "{name}: {settings:?}");
        }
        assert_eq!(settings.len(), 3, "{settings:?}");
    }
}
