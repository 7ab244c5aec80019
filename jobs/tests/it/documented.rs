//! `docs/reference/jobs.md` and the code agree on policies and error classes.
//!
//! `BEDEL_BLESS=1 cargo test -p bedel-jobs --test it documented` rewrites the tables.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bedel_jobs::error_class::{ErrorClass, OF_EVERY_KIND};
use bedel_jobs::policies;

const PAGE: &str = "docs/reference/jobs.md";

/// The crates whose code makes errors of jobs.
const CRATES: [&str; 7] = ["queue", "fetch", "media", "storage", "recordings", "speech", "jobs"];

/// The calls that take an error class as their first argument.
const CALLS: [&str; 6] = ["retry(", "retry_after(", "wait(", "fatal(", "host_fault(", "Self::new("];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Compares the part of the page between `<!-- name: begin -->` and `<!-- name: end -->`, or rewrites it.
fn compare(name: &str, expected: &str) {
    let path = repository().join(PAGE);
    let page = std::fs::read_to_string(&path).expect("the page");
    let [begin, end] = ["begin", "end"].map(|edge| format!("<!-- {name}: {edge} -->"));
    let (before, rest) = page.split_once(&begin).expect("the begin of the table");
    let (_, after) = rest.split_once(&end).expect("the end of the table");
    let expected = format!("{before}{begin}\n{expected}{end}{after}");
    if std::env::var_os("BEDEL_BLESS").is_some() {
        std::fs::write(&path, expected).expect("written");
        return;
    }
    assert!(
        page == expected,
        "{PAGE} is out of date. Type: BEDEL_BLESS=1 cargo test -p bedel-jobs --test it documented"
    );
}

#[test]
fn the_documented_policies_are_those_of_the_code() {
    let mut table = String::from(
        "| kind | lane | attempts | crashes | first | longest | timeout | give up | slots |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (kind, policy) in policies() {
        table += &format!(
            "| `{kind}` | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            policy.queue,
            policy.max_attempts,
            policy.max_crashes,
            shown(policy.backoff.first),
            shown(policy.backoff.max),
            shown(policy.timeout),
            shown(policy.give_up_after),
            policy.slots,
        );
    }
    compare("policies", &table);
}

#[test]
fn the_documented_error_classes_are_those_of_the_code() {
    let mut table =
        String::from("| class | kinds | follows | when, and the remedy |\n| --- | --- | --- | --- |\n");
    for class in ErrorClass::ALL {
        let kinds: Vec<String> = policies()
            .iter()
            .filter(|(_, policy)| policy.error_classes.contains(&class.name()))
            .map(|(kind, _)| format!("`{kind}`"))
            .collect();
        let kinds = if OF_EVERY_KIND.contains(class) { "every kind".to_owned() } else { kinds.join(", ") };
        assert!(!kinds.is_empty(), "no kind lists {}", class.name());
        table += &format!("| `{}` | {kinds} | {} | {} |\n", class.name(), class.follows(), class.remedy());
    }
    compare("error classes", &table);
}

#[test]
fn every_class_in_the_code_is_listed() {
    let listed: BTreeSet<&str> = ErrorClass::ALL.iter().map(|class| class.name()).collect();
    let mut found = BTreeSet::new();
    for name in CRATES {
        for file in sources(&repository().join(name).join("src")) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for class in classes(code) {
                assert!(listed.contains(class.as_str()), "{} has a class {class:?}: list it", file.display());
                found.insert(class);
            }
        }
    }
    assert!(found.len() > 50, "the code's classes were not found: {found:?}");
}

/// The classes that `JobError::retry("class", …)` and its siblings name.
fn classes(code: &str) -> BTreeSet<String> {
    let mut classes = BTreeSet::new();
    for (at, call) in CALLS.iter().flat_map(|call| code.match_indices(call)) {
        let is_job_error = ["JobError::", "Self::"].iter().any(|prefix| code[..at].ends_with(prefix))
            || call.starts_with("Self::");
        let argument = code[at + call.len()..].trim_start();
        let literal = argument.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        if let Some((class, rest)) = literal.filter(|_| is_job_error)
            && rest.trim_start().starts_with(',')
        {
            classes.insert(class.to_owned());
        }
    }
    classes
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// In the largest unit that leaves no rest.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}
