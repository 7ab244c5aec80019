//! The tree of this repository: which crate may use which, no circle between files, no file too long.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bedel_tree::{Graph, circles, read_crate};

/// The crates, lowest first: name, root file, and the crates it may use.
const CRATES: [(&str, &str, &[&str]); 13] = [
    ("bedel_postgres", "postgres/src/lib.rs", &[]),
    ("bedel_queue", "queue/src/lib.rs", &[]),
    ("bedel_fetch", "fetch/src/lib.rs", &["bedel_queue"]),
    ("bedel_media", "media/src/lib.rs", &["bedel_queue"]),
    ("bedel_storage", "storage/src/lib.rs", &["bedel_queue"]),
    ("bedel_recordings", "recordings/src/lib.rs", &["bedel_fetch", "bedel_media", "bedel_queue"]),
    ("bedel_speech", "speech/src/lib.rs", &["bedel_fetch", "bedel_media", "bedel_queue"]),
    (
        "bedel_jobs",
        "jobs/src/lib.rs",
        &["bedel_fetch", "bedel_media", "bedel_queue", "bedel_recordings", "bedel_speech", "bedel_storage"],
    ),
    (
        "bedel",
        "src/lib.rs",
        &[
            "bedel_fetch",
            "bedel_jobs",
            "bedel_media",
            "bedel_postgres",
            "bedel_queue",
            "bedel_recordings",
            "bedel_speech",
            "bedel_storage",
        ],
    ),
    // The proofs and the tests may use everything; no crate above uses them.
    ("bedel_upstream", "tests/upstream/src/lib.rs", &[]),
    ("bedel_test_support", "tests/support/src/lib.rs", &["bedel_postgres"]),
    ("bedel_faults", "proof/faults/src/main.rs", ANY),
    ("bedel_bench", "proof/bench/src/main.rs", ANY),
];

const ANY: &[&str] = &[
    "bedel_fetch",
    "bedel_jobs",
    "bedel_media",
    "bedel_postgres",
    "bedel_queue",
    "bedel_recordings",
    "bedel_speech",
    "bedel_storage",
    "bedel_test_support",
    "bedel_upstream",
];

/// Crates that may take one name from the queue: an error says by itself whether its job retries.
const ONLY_JOB_ERROR: [&str; 5] =
    ["bedel_fetch", "bedel_media", "bedel_recordings", "bedel_speech", "bedel_storage"];

/// Longest file, in lines.
const MAX_LINES: usize = 500;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn graph() -> Graph {
    let root = repository();
    Graph::new(CRATES.iter().map(|(name, file, _)| read_crate(name, &root.join(file))).collect())
}

/// The path of a file in the repository.
fn shown(file: &Path) -> String {
    file.canonicalize().expect("a file").strip_prefix(repository()).expect("inside").display().to_string()
}

#[test]
fn no_files_depend_on_each_other_in_a_circle() {
    let graph = graph();
    let mut text = String::new();
    for (number, circle) in circles(&graph).iter().enumerate() {
        text += &format!("circle {}:\n", number + 1);
        for arrow in circle {
            let [from, to] = [arrow.from, arrow.to].map(|file| shown(&graph.module(file).file));
            text += &format!("  {from} -> {to}: {}\n", arrow.path);
        }
    }
    assert!(text.is_empty(), "move what two files share into a third:\n{text}");
}

#[test]
fn arrows_between_crates_run_one_way() {
    let graph = graph();
    let allowed: BTreeMap<_, _> = CRATES.iter().map(|(name, _, allowed)| (*name, *allowed)).collect();
    for arrow in graph.arrows.iter().filter(|arrow| arrow.from.0 != arrow.to.0) {
        let [from, to] = [arrow.from.0, arrow.to.0].map(|at| graph.crates[at].name.as_str());
        let file = shown(&graph.module(arrow.from).file);
        assert!(allowed[from].contains(&to), "{file} uses {to} ({})", arrow.path);
        if to == "bedel_queue" && ONLY_JOB_ERROR.contains(&from) {
            assert!(
                arrow.path.split("::").any(|name| name == "JobError"),
                "{file} takes {} of the queue; {from} may take JobError alone",
                arrow.path
            );
        }
    }
}

#[test]
fn no_file_is_too_long() {
    let graph = graph();
    for module in graph.crates.iter().flat_map(|one| &one.modules) {
        assert!(
            module.lines <= MAX_LINES,
            "{} has {} lines, more than {MAX_LINES}",
            shown(&module.file),
            module.lines
        );
    }
}

/// Writes a crate of these files and reads it.
fn made(files: &[(&str, &str)]) -> (tempfile::TempDir, Graph) {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let file = directory.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("made");
        std::fs::write(file, text).expect("written");
    }
    let graph = Graph::new(vec![read_crate("made", &directory.path().join("lib.rs"))]);
    (directory, graph)
}

fn files(graph: &Graph) -> Vec<Vec<(String, String)>> {
    let name = |file| graph.module(file).path.join("::");
    let pairs = |circle: &Vec<&bedel_tree::Arrow>| {
        circle.iter().map(|arrow| (name(arrow.from), name(arrow.to))).collect()
    };
    circles(graph).iter().map(pairs).collect()
}

#[test]
fn a_circle_is_found_through_reexports_paths_and_aliases() {
    let (_directory, graph) = made(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; pub use b::B;"),
        ("a.rs", "use crate::B; pub struct A;"),
        ("b.rs", "pub struct B; fn f() { crate::c::run() }"),
        ("c.rs", "use super::d; pub fn run() { d::inner::go() }"),
        ("d.rs", "pub mod inner;"),
        ("d/inner.rs", "use crate::a::A; pub fn go() {}"),
    ]);
    let expected = [("a", "b"), ("b", "c"), ("c", "d::inner"), ("d::inner", "a")];
    let expected = expected.map(|(from, to)| (from.to_owned(), to.to_owned()));
    assert_eq!(files(&graph), [expected.to_vec()]);
}

#[test]
fn a_parent_that_calls_its_child_which_uses_the_parent_is_a_circle() {
    let (_directory, graph) = made(&[
        ("lib.rs", "mod child; pub struct Shared; fn run() { child::go() }"),
        ("child.rs", "use super::Shared; pub fn go() {}"),
    ]);
    assert_eq!(files(&graph).len(), 1);
}

#[test]
fn reexports_tests_and_leaves_make_no_circle() {
    let (_directory, graph) = made(&[
        ("lib.rs", "mod child; mod leaf; pub use child::go; pub use leaf::Shared;"),
        ("child.rs", "use super::Shared; pub fn go() {}"),
        ("leaf.rs", "pub struct Shared; #[cfg(test)] mod tests { use crate::child::go; }"),
    ]);
    assert_eq!(files(&graph), Vec::<Vec<(String, String)>>::new());
}
