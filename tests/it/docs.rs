//! Documents that name tests name tests that exist.

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/reference/promises.md");

/// `queue::operating::some_test` -> the file it must stand in, under the crate's tests or sources, and its name.
fn named_tests() -> Vec<(String, String, String)> {
    PAGE.split('`')
        .filter_map(|text| {
            let mut parts = text.split("::");
            match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some(room), Some(file), Some(test), None) => {
                    Some((room.to_owned(), file.to_owned(), test.to_owned()))
                }
                _ => None,
            }
        })
        .filter(|(room, _, _)| room != "crate")
        .collect()
}

/// Whether the source has a function of this name that `cargo test` runs: its attribute stands at most three lines above.
fn is_a_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    lines.iter().enumerate().filter(|(_, line)| line.contains(&head)).any(|(number, _)| {
        lines[number.saturating_sub(3)..number].iter().any(|line| {
            *line == "#[test]" || line.starts_with("#[tokio::test]") || line.starts_with("#[tokio::test(")
        })
    })
}

#[test]
fn a_function_that_is_never_run_is_no_test() {
    let run = "#[tokio::test(flavor = \"multi_thread\")]\n#[cfg(unix)]\nasync fn kept() {}";
    assert!(is_a_test(run, "kept") && !is_a_test(run, "lost"));
    assert!(!is_a_test("#[test]\nfn other() {\n}\n\nfn kept() {}", "kept"));
    assert!(!is_a_test("// #[test]\nfn kept() {}", "kept"));
}

#[test]
fn every_test_named_among_the_invariants_exists() {
    let named = named_tests();
    assert!(named.len() > 20, "only {} tests are named: is the page still read rightly?", named.len());
    for (room, file, test) in named {
        let found = ["tests/it", "src"].iter().any(|folder| {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(&room).join(folder).join(format!("{file}.rs"));
            fs::read_to_string(path).is_ok_and(|source| is_a_test(&source, &test))
        });
        assert!(found, "docs/reference/promises.md names {room}::{file}::{test}, which does not exist");
    }
}

#[test]
fn every_promise_has_a_line() {
    for number in 1..=16 {
        assert!(PAGE.contains(&format!("\n| {number} | **")), "promise {number} is missing");
    }
}
