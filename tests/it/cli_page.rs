//! docs/reference/cli.md, completions and manual pages come from the program's commands.
//!
//! `BEDEL_BLESS=1 cargo test -p bedel --test it cli_page` rewrites the page.

use std::path::Path;
use std::process::Command as Process;

use bedel::cli::Cli;
use clap::{Arg, Command, CommandFactory};

use crate::program::Project;

const PAGE: &str = "docs/reference/cli.md";
const BEGIN: &str = "<!-- commands: begin -->\n";
const END: &str = "<!-- commands: end -->";

/// Commands without `--json`, and why.
const WITHOUT_JSON: [(&str, &str); 8] = [
    ("bedel api", "runs until it is stopped; --log-format json"),
    ("bedel worker", "runs until it is stopped; --log-format json"),
    ("bedel scheduler", "runs until it is stopped; --log-format json"),
    ("bedel dev", "runs until it is stopped; --log-format json"),
    ("bedel openapi", "prints JSON"),
    ("bedel transcribe", "prints a file; --format json"),
    ("bedel completions", "prints a script"),
    ("bedel man", "prints a manual page"),
];

/// Every command that can be run, with its full name.
fn commands() -> Vec<(String, Command)> {
    fn add(command: &Command, above: &str, found: &mut Vec<(String, Command)>) {
        let name = format!("{above}{}", command.get_name());
        if !command.is_subcommand_required_set() && !above.is_empty() {
            found.push((name.clone(), command.clone()));
        }
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            add(below, &format!("{name} "), found);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut found = Vec::new();
    add(&root, "", &mut found);
    found
}

fn read_page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

#[test]
fn every_command_that_prints_a_result_has_json() {
    let page = read_page();
    for (name, command) in commands() {
        let has_json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
        let is_exempt = WITHOUT_JSON.iter().any(|(exempt, _)| *exempt == name);
        assert_ne!(has_json, is_exempt, "{name}: give it OutputOptions, or say here why not");
        let shape = format!("\n| `{}` | ", name.trim_start_matches("bedel "));
        assert!(!has_json || page.contains(&shape), "{PAGE} does not say what `{name} --json` prints");
    }
}

/// Options that every command or a whole group shares stand in docs/operate/configure.md.
fn is_own(argument: &Arg) -> bool {
    !argument.is_hide_set()
        && !argument.is_global_set()
        && argument.get_env().is_none()
        && !["help", "version", "json"].contains(&argument.get_id().as_str())
}

fn entry(name: &str, command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n### {name}\n\n{}\n", sentence(&about));
    let own: Vec<&Arg> = command.get_arguments().filter(|argument| is_own(argument)).collect();
    if !own.is_empty() {
        text.push_str("\n| | |\n| --- | --- |\n");
    }
    for argument in own {
        let value = argument.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
        let shown = match (argument.get_long(), argument.get_action().takes_values(), value) {
            (Some(long), true, Some(value)) => format!("--{long} {value}"),
            (Some(long), ..) => format!("--{long}"),
            (None, _, value) => value.unwrap_or_default(),
        };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
        let values: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let has_default = argument.get_action().takes_values() && !values.is_empty();
        let default = if has_default { format!(" [default: {}]", values.join(",")) } else { String::new() };
        text.push_str(&format!(
            "| `{}` | {}{default} |\n",
            shown.replace('|', "\\|"),
            help.replace('|', "\\|")
        ));
    }
    text
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim().trim_end_matches('.'))
}

#[test]
fn the_page_matches_the_commands() {
    let text = read_page();
    let (before, rest) = text.split_once(BEGIN).expect("the page has the first marker");
    let (listed, after) = rest.split_once(END).expect("the page has the second marker");
    let expected: String = commands().iter().map(|(name, command)| entry(name, command)).collect();
    if std::env::var_os("BEDEL_BLESS").is_some() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
        std::fs::write(page, format!("{before}{BEGIN}{expected}\n{END}{after}")).unwrap();
        return;
    }
    assert!(
        listed == format!("{expected}\n"),
        "{PAGE} is out of date. Type: BEDEL_BLESS=1 cargo test -p bedel --test it cli_page\n{expected}"
    );
}

#[test]
fn completions_are_scripts_with_every_command() {
    let project = Project::new();
    let bash = project.run(&["completions", "bash"]).ok();
    let file = project.path().join("bedel.bash");
    std::fs::write(&file, &bash).unwrap();
    let parsed = Process::new("bash").arg("-n").arg(&file).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    // What a person gets for `bedel jobs re<Tab>`.
    let script = format!(
        "source '{}'; COMP_WORDS=(bedel jobs re); COMP_CWORD=2; _bedel bedel re jobs; echo \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    let completed = Process::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "retry", "{completed:?}");
    for shell in ["zsh", "fish"] {
        let script = project.run(&["completions", shell]).ok();
        for (name, _) in commands() {
            let word = name.split(' ').next_back().unwrap();
            assert!(script.contains(word), "{shell}: {name}");
        }
    }
    project.run(&["completions", "tcsh"]).refused(2);
}

/// Requests of roff that the pages use. Another one is a mistake, such as a help line that starts with a dot.
const ROFF_REQUESTS: [&str; 12] = ["TH", "IP", "SH", "SS", "TP", "PP", "RS", "RE", "br", "ie", "el", "ds"];

#[test]
fn there_is_a_manual_page_for_every_command() {
    let project = Project::new()
        .set("DATABASE_URL", "postgresql://bedel:hunter2@localhost/bedel")
        .set("BEDEL_TOKEN", "hunter2");
    project.run(&["man", "--dir", "pages/man1"]).ok();
    for (name, command) in commands() {
        let file = project.path().join("pages/man1").join(format!("{}.1", name.replace(' ', "-")));
        let page =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        check_roff(&name, &page);
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let Some(long) = argument.get_long() else { continue };
            let escaped = format!("\\-\\-{}", long.replace('-', "\\-"));
            assert!(page.contains(&escaped), "{name}: {long}");
        }
        assert!(!page.contains("hunter2"), "{name}");
    }
    let root = project.run(&["man"]).ok();
    check_roff("bedel", &root);
    assert!(root.contains(".SH SUBCOMMANDS"), "{root}");
}

fn check_roff(name: &str, page: &str) {
    for line in page.lines() {
        assert!(line.chars().all(|character| !character.is_control()), "{name}: {line:?}");
        if let Some(request) = line.strip_prefix(['.', '\'']) {
            let request = request.split_whitespace().next().unwrap_or_default();
            assert!(ROFF_REQUESTS.contains(&request), "{name}: {line}");
        }
    }
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    assert!(
        page.contains("\n.TH ") && sections.starts_with(&["NAME", "SYNOPSIS", "DESCRIPTION"]),
        "{name}: {sections:?}"
    );
}
