//! The README is right: its Rust is in the examples, its SQL runs, and its links lead to headings.

use std::fs;
use std::path::Path;

use crate::sql_producers::psql;
use crate::support::bench;

const README: &str = include_str!("../../README.md");

/// The code blocks of a language, each with the line above it.
fn blocks(language: &str) -> Vec<(&'static str, &'static str)> {
    let fence = format!("```{language}\n");
    let mut found = Vec::new();
    let mut rest = README;
    while let Some(at) = rest.find(&fence) {
        let above = rest[..at].trim_end_matches('\n').lines().last().unwrap_or_default();
        let code = &rest[at + fence.len()..];
        let end = code.find("```").unwrap();
        found.push((above, &code[..end]));
        rest = &code[end..];
    }
    found
}

#[test]
fn the_rust_of_the_readme_stands_in_the_examples() {
    let blocks = blocks("rust");
    assert!(blocks.len() >= 8, "only {} blocks: is the page still read rightly?", blocks.len());
    for (above, code) in blocks {
        let file =
            above.strip_prefix("<!-- ").and_then(|above| above.strip_suffix(" -->")).unwrap_or_default();
        let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        let source = source.unwrap_or_else(|error| panic!("{file:?} above a block: {error}"));
        assert!(source.contains(code), "not in {file}:\n{code}");
    }
}

#[tokio::test]
async fn the_sql_of_the_readme_enqueues() {
    let bench = bench().await;
    let blocks = blocks("sql");
    assert!(!blocks.is_empty());
    for (_, sql) in blocks {
        sqlx::raw_sql(sql).execute(&bench.pool).await.unwrap();
        psql(&bench, sql).unwrap();
    }
    let enqueued = bench.count("SELECT count(*) FROM queue.jobs WHERE kind = 'write-invoice'").await;
    assert_eq!(enqueued, 1);
    let sent =
        bench.count("SELECT count(*) FROM queue.jobs WHERE kind = 'send-invoice' AND state = 'available'");
    assert_eq!(sent.await, 4, "two of each run are waiting");
    let cancelled = bench.count("SELECT count(*) FROM queue.jobs WHERE reason = 'not needed'");
    assert_eq!(cancelled.await, 2);
}

#[test]
fn the_headings_that_the_readme_links_to_are_there() {
    let anchors: Vec<String> = README
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    let links: Vec<&str> = README.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 10);
    for link in links {
        assert!(anchors.iter().any(|anchor| anchor == link), "#{link}");
    }
}

#[test]
fn the_drawing_of_the_states_is_the_crates_own() {
    let drawing: Vec<&str> =
        blocks("text").iter().find(|(_, text)| text.contains("enqueue")).unwrap().1.lines().collect();
    let docs = include_str!("../../src/lib.rs");
    for line in drawing {
        assert!(docs.contains(&format!("//! {line}\n")), "{line}");
    }
}
