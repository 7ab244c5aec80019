//! `kill -9` between any two steps of every job.
//!
//! The visible steps are statements sent to PostgreSQL and files. A proxy between the worker and the server
//! holds a statement, the process is killed there, and a fresh one finishes. Between two statements lie the
//! operations on files: a kill before a statement comes after all of them, and another test kills as soon as
//! a file shows up.

use std::collections::BTreeSet;
use std::time::Duration;

use bedel_jobs::scratch::clean_scratch;
use bedel_test_support::{Moment, Statement};
use futures::StreamExt;
use tokio::sync::Semaphore;

use super::harness::{CRON, Harness, LECTURE, STAGES, options, until_held};
use super::process::Process;
use super::snapshot::Snapshot;

/// Concurrent rounds of all tests here: a round mostly waits for rescues, and holds several of the server's
/// connections.
static ROUNDS: Semaphore = Semaphore::const_new(9);

/// An undisturbed run: its snapshot, and the statements of each kind.
async fn undisturbed(kinds: &[&'static str]) -> (Snapshot, Vec<Vec<String>>) {
    let harness = Harness::new().await;
    let proxy = harness.proxy();
    let mut statements = Vec::new();
    for kind in kinds {
        harness.start(kind).await;
        let mut process = Process::start(&harness, &proxy, &[kind], "quick");
        harness.until_done(kind).await;
        process.kill();
        statements.push(proxy.statements_of(kind));
    }
    assert!(harness.scratch().is_empty(), "{:?}", harness.scratch());
    (Snapshot::take(&harness).await, statements)
}

/// A statement, and the side of it where the worker is killed.
type Point = (Statement, Moment);

/// Every point at which a kill can make a difference: a statement of an uncommitted transaction leaves the
/// same state whether the server executed it or not.
fn points(kind: &'static str, statements: &[String]) -> Vec<Point> {
    let commits = statements.iter().enumerate().filter(|(_, statement)| *statement == "COMMIT");
    let after = commits.map(|(number, _)| (Statement::OfKind(kind, number), Moment::After));
    let before = (0..statements.len()).map(|number| (Statement::OfKind(kind, number), Moment::Before));
    [(Statement::ClaimOf(kind), Moment::After)].into_iter().chain(after).chain(before).collect()
}

/// One job of each kind, killed once at its point, if it has one; then the rest runs to the end.
async fn round(kinds: &[&'static str], at: &[Option<Point>]) -> (Harness, Snapshot) {
    let harness = Harness::new().await;
    let mut first = 0;
    for (number, point) in at.iter().enumerate() {
        let Some(point) = point else { continue };
        let proxy = harness.proxy();
        let mut hold = proxy.hold(point.0, point.1);
        let mut process = Process::start(&harness, &proxy, &kinds[first..=number], "quick");
        supply(&harness, kinds, first, number).await;
        until_held(&format!("{point:?}"), &mut hold).await;
        process.kill();
        hold.cut();
        first = number;
    }
    // The last worker runs in this process, which is quicker. It starts as every worker does.
    clean_scratch(&harness.ctx.scratch).expect("a clean scratch directory");
    let worker = harness.worker(options(&kinds[first..]), harness.ctx.clone());
    supply(&harness, kinds, first, kinds.len() - 1).await;
    harness.until_done(kinds.last().expect("a kind")).await;
    worker.stop().await;
    let snapshot = Snapshot::take(&harness).await;
    (harness, snapshot)
}

/// Enqueues the jobs from `first` to `last` that no other job enqueues, each after the previous one is
/// completed.
async fn supply(harness: &Harness, kinds: &[&'static str], first: usize, last: usize) {
    for number in first..=last {
        if number > 0 && number > first {
            harness.until_done(kinds[number - 1]).await;
        }
        if harness.count(kinds[number], "completed").await == 0 && !harness.is_live(kinds[number]).await {
            harness.start(kinds[number]).await;
        }
    }
}

/// Kills at every point, all kinds in one round, and compares.
async fn at_every_point(kinds: &'static [&'static str]) {
    let (expected, statements) = undisturbed(kinds).await;
    let points: Vec<Vec<Point>> =
        kinds.iter().zip(&statements).map(|(kind, statements)| points(kind, statements)).collect();
    let rounds = points.iter().map(Vec::len).max().expect("kinds");
    let mut results = futures::stream::iter(0..rounds)
        .map(|number| {
            let at: Vec<_> = points.iter().map(|points| points.get(number).copied()).collect();
            async move {
                let _turn = ROUNDS.acquire().await.expect("never closed");
                let (harness, snapshot) = round(kinds, &at).await;
                (at, harness, snapshot)
            }
        })
        .buffer_unordered(rounds);
    while let Some((at, harness, snapshot)) = results.next().await {
        snapshot.assert_equals(&expected, &format!("killed at {at:?}"));
        assert!(harness.scratch().is_empty(), "killed at {at:?}: {:?}", harness.scratch());
        assert_only_crashes(&harness).await;
    }
    println!("{rounds} rounds: {:?}", statements.iter().map(Vec::len).collect::<Vec<_>>());
}

async fn assert_only_crashes(harness: &Harness) {
    let classes: Vec<String> = sqlx::query_scalar("SELECT DISTINCT class FROM queue.failed_attempts")
        .fetch_all(harness.pool())
        .await
        .expect("the history");
    assert!(classes.iter().all(|class| class == "crashed"), "{classes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lecture_survives_a_kill_between_any_two_statements() {
    at_every_point(&STAGES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cron_jobs_survive_a_kill_between_any_two_statements() {
    at_every_point(&CRON).await;
}

/// Files that appear during a stage, in order. The last one of each stage stays, so every wait ends.
const DOWNLOADING: [&str; 5] = ["source", "scratch/audio.m4a", "audio_tmp", "audio_tmp whole", "audio/"];
const TRANSCRIBING: [&str; 5] = ["audio.f32", "audio_tmp", "audio_tmp json", "vtt", "json"];

/// Progress of a stage by its files: the highest number among its listed files that exist.
fn progress(harness: &Harness, names: &[&str]) -> usize {
    let stored = harness.files_of_lecture();
    let local = [harness.scratch(), harness.downloads()].concat();
    let scratch: BTreeSet<String> =
        local.iter().filter_map(|name| Some(name.rsplit_once('/')?.1.to_owned())).collect();
    let shown = |name: &str| match name {
        "scratch/audio.m4a" => scratch.contains("audio.m4a"),
        "audio_tmp" => stored.iter().any(|key| key.starts_with("audio_tmp/")),
        "audio_tmp whole" => stored.iter().any(|key| key.starts_with("audio_tmp/") && key.ends_with(".m4a")),
        "audio_tmp json" => stored.iter().any(|key| key.starts_with("audio_tmp/") && key.ends_with(".json")),
        "audio/" => stored.contains(&format!("audio/{LECTURE}.m4a")),
        "vtt" | "json" => stored.contains(&format!("transcripts/{LECTURE}.{name}")),
        name => scratch.contains(name),
    };
    names.iter().rposition(|name| shown(name)).map_or(0, |number| number + 1)
}

/// Kills as soon as a file appears: during a write, between a write and its rename, between two renames. The
/// exact place varies; the result must not.
#[tokio::test(flavor = "multi_thread")]
async fn a_lecture_survives_a_kill_at_any_file() {
    let (expected, _) = undisturbed(&STAGES).await;
    let mut results = futures::stream::iter(1..=DOWNLOADING.len())
        .map(|far| async move {
            let _turn = ROUNDS.acquire().await.expect("never closed");
            let harness = Harness::new().await;
            harness.start("submit").await;
            for names in [DOWNLOADING, TRANSCRIBING] {
                let proxy = harness.proxy();
                let mut process = Process::start(&harness, &proxy, &STAGES, "quick");
                let deadline = std::time::Instant::now() + Duration::from_secs(60);
                while progress(&harness, &names) < far {
                    assert!(std::time::Instant::now() < deadline, "{} never shows up", names[far - 1]);
                    tokio::time::sleep(Duration::from_micros(300)).await;
                }
                process.kill();
            }
            let proxy = harness.proxy();
            let mut process = Process::start(&harness, &proxy, &STAGES, "quick");
            harness.until_state("transcribe", "completed").await;
            process.kill();
            (far, Snapshot::take(&harness).await, harness)
        })
        .buffer_unordered(DOWNLOADING.len());
    while let Some((far, snapshot, harness)) = results.next().await {
        snapshot.assert_equals(
            &expected,
            &format!("killed at {} and {}", DOWNLOADING[far - 1], TRANSCRIBING[far - 1]),
        );
        assert!(harness.scratch().is_empty(), "{:?}", harness.scratch());
        assert_only_crashes(&harness).await;
    }
}
