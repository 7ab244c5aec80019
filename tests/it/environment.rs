//! The table of environment variables in docs/operate/configure.md comes from the options of the program.
//!
//! `BEDEL_BLESS=1 cargo test -p bedel --test it environment` rewrites it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bedel::cli::Cli;
use clap::{Arg, Command, CommandFactory};

const PAGE: &str = "docs/operate/configure.md";
const BEGIN: &str = "<!-- environment: begin -->";
const END: &str = "<!-- environment: end -->";

/// The long-running commands, in the order of the last column.
const PROCESSES: [&str; 4] = ["api", "worker", "scheduler", "dev"];

/// Group of options without a heading in the help.
const NO_HEADING: &str = "Commands";

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Variable {
    group: String,
    default: Option<String>,
    meaning: String,
    readers: BTreeSet<String>,
}

/// Variables by name, and their groups in the order of the help.
#[derive(Default)]
struct Variables {
    by_name: BTreeMap<String, Variable>,
    groups: Vec<String>,
}

impl Variables {
    fn of_the_program() -> Self {
        let mut root = Cli::command();
        root.build();
        let mut variables = Self::default();
        for argument in root.get_arguments() {
            variables.add_argument(argument, "all");
        }
        let order = |name: &str| PROCESSES.iter().position(|known| *known == name).unwrap_or(PROCESSES.len());
        let mut commands: Vec<&Command> = root.get_subcommands().collect();
        commands.sort_by_key(|command| order(command.get_name()));
        for command in commands {
            variables.add_command(command, command.get_name());
        }
        variables
    }

    fn add_command(&mut self, command: &Command, name: &str) {
        for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
            self.add_argument(argument, name);
        }
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut group = NO_HEADING.to_owned();
        for line in after.lines() {
            match line.trim_start().strip_prefix("[env: ").and_then(|rest| rest.split_once("] ")) {
                Some((variable, meaning)) => self.add(variable, &group, None, sentence(meaning), name),
                None => group = "Secrets, never flags".to_owned(),
            }
        }
        for below in command.get_subcommands() {
            self.add_command(below, name);
        }
    }

    fn add_argument(&mut self, argument: &Arg, reader: &str) {
        let Some(variable) = argument.get_env().filter(|_| !argument.is_hide_set()) else { return };
        let help = argument.get_long_help().or_else(|| argument.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default().replace('\n', " ");
        let (meaning, written) = match help.split_once(" [default: ") {
            Some((meaning, rest)) => (meaning, Some(rest.trim_end_matches(']').to_owned())),
            None => (help.as_str(), None),
        };
        let values: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default =
            Some(values.join(",")).filter(|value| !value.is_empty()).map(|value| format!("`{value}`"));
        let group = argument.get_help_heading().unwrap_or(NO_HEADING);
        let (meaning, inner) = match meaning.split_once(" [env: ") {
            Some((meaning, rest)) => (meaning, rest.split(']').next()),
            None => (meaning, None),
        };
        let name = variable.to_string_lossy();
        self.add(&name, group, default.or(written), sentence(meaning), reader);
        if let Some(secret) = inner {
            self.add(
                secret,
                group,
                None,
                format!("The secret that goes with `{name}`; never a flag"),
                reader,
            );
        }
    }

    fn add(&mut self, name: &str, group: &str, default: Option<String>, meaning: String, reader: &str) {
        if !self.groups.iter().any(|known| known == group) {
            self.groups.push(group.to_owned());
        }
        let variable = self.by_name.entry(name.to_owned()).or_insert_with(|| Variable {
            group: group.to_owned(),
            default,
            meaning,
            readers: BTreeSet::new(),
        });
        variable.readers.insert(reader.to_owned());
    }

    fn table(&self) -> String {
        let mut text = String::new();
        for group in &self.groups {
            text.push_str(&format!(
                "\n**{group}**\n\n| Variable | Default | Meaning | Read by |\n|---|---|---|---|\n"
            ));
            for (name, variable) in self.by_name.iter().filter(|(_, variable)| variable.group == *group) {
                text.push_str(&format!(
                    "| `{name}` | {} | {} | {} |\n",
                    variable.default.as_deref().unwrap_or("-"),
                    variable.meaning.replace('|', "\\|"),
                    readers(&variable.readers)
                ));
            }
        }
        text
    }
}

fn sentence(text: &str) -> String {
    let text = text.trim().trim_end_matches(['.', ':']);
    let first = text.chars().next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + text.get(1..).unwrap_or_default()
}

/// The processes by name. More than three other commands are shown as "commands".
fn readers(readers: &BTreeSet<String>) -> String {
    if readers.contains("all") {
        return "all".to_owned();
    }
    let is_process = |name: &&str| PROCESSES.contains(name);
    let mut names: Vec<&str> = PROCESSES.into_iter().filter(|name| readers.contains(*name)).collect();
    let others: Vec<&str> = readers.iter().map(String::as_str).filter(|name| !is_process(name)).collect();
    match others.as_slice() {
        few if few.len() <= 3 => names.extend(few),
        _ => names.push("commands"),
    }
    names.join(", ")
}

#[test]
fn the_environment_table_matches_the_options() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the page has the first marker");
    let (table, after) = rest.split_once(END).expect("the page has the second marker");
    let expected = format!("\n{}\n", Variables::of_the_program().table());
    if std::env::var_os("BEDEL_BLESS").is_some() {
        std::fs::write(&page, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(
        table == expected,
        "{PAGE} is out of date. Type: BEDEL_BLESS=1 cargo test -p bedel --test it environment\n{expected}"
    );
}

#[test]
fn the_example_file_shows_the_defaults_of_the_options() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example");
    let example = std::fs::read_to_string(example).unwrap();
    let variables = Variables::of_the_program();
    for line in example.lines() {
        let Some((name, value)) = line.trim_start_matches('#').trim().split_once('=') else { continue };
        let default = variables.by_name.get(name).and_then(|variable| variable.default.as_deref());
        let Some(default) = default.and_then(|text| text.strip_prefix('`')) else { continue };
        assert_eq!(value.trim_matches('\''), default.trim_end_matches('`'), "{name}");
    }
}
