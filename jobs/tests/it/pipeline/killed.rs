//! `kill -9` between any two steps of every job.
//!
//! The steps that others can see are the statements sent to PostgreSQL and the files. A door between the worker and
//! the server is shut at a statement, the process is killed there, and a fresh one finishes. Between two statements lie the
//! operations on files: a kill before a statement comes after all of them, and another test kills as soon as a file
//! shows up.

use std::collections::BTreeSet;
use std::time::Duration;

use bedel_jobs::scratch::clean_scratch;
use futures::StreamExt;
use tokio::sync::Semaphore;

use super::door::{Door, Point};
use super::left::Left;
use super::line::{LECTURE, Line, options, soon};
use super::process::Process;
use super::{CRON, STAGES};

/// Rounds at a time, of all tests here together: most of a round is waiting for the dead to be known as dead, and each holds
/// several of the server's connections.
static ROUNDS: Semaphore = Semaphore::const_new(9);

/// An undisturbed run: what it leaves, and the statements of each kind.
async fn undisturbed(kinds: &[&'static str]) -> (Left, Vec<Vec<String>>) {
    let line = Line::new().await;
    let door = Door::new(&line.pool().connect_options());
    let mut statements = Vec::new();
    for kind in kinds {
        line.start(kind).await;
        let mut process = Process::start(&line, &door, &[kind], "quick");
        line.until_done(kind).await;
        process.kill();
        statements.push(door.statements(kind));
    }
    assert!(line.scratch().is_empty(), "{:?}", line.scratch());
    (Left::of(&line).await, statements)
}

/// Every point at which a kill can make a difference: a statement inside a transaction that is not committed leaves
/// the same whether the server did it or not.
fn points(statements: &[String]) -> Vec<Point> {
    let commits = statements.iter().enumerate().filter(|(_, statement)| *statement == "COMMIT");
    let after = commits.map(|(number, _)| Point::After(number));
    let before = (0..statements.len()).map(Point::Before);
    [Point::Claimed].into_iter().chain(after).chain(before).collect()
}

/// One job of each kind, each killed once at its point, where it has one; then the rest is run to its end.
async fn round(kinds: &[&'static str], at: &[Option<Point>]) -> (Line, Left) {
    let line = Line::new().await;
    let mut first = 0;
    for (number, point) in at.iter().enumerate() {
        let Some(point) = point else { continue };
        let door = Door::new(&line.pool().connect_options());
        let mut shut = door.shut(kinds[number], *point);
        let mut process = Process::start(&line, &door, &kinds[first..=number], "quick");
        supply(&line, kinds, first, number).await;
        let reached = soon(&format!("{} at {point:?}", kinds[number]), &mut shut.reached).await;
        reached.expect("the door is shut");
        process.kill();
        drop(shut);
        first = number;
    }
    // The last worker is one of this process, which starts as every worker does: that is quicker.
    clean_scratch(&line.ctx.scratch).expect("a clean scratch directory");
    let worker = line.worker(options(&kinds[first..]), line.ctx.clone());
    supply(&line, kinds, first, kinds.len() - 1).await;
    line.until_done(kinds.last().expect("a kind")).await;
    worker.stop().await;
    let left = Left::of(&line).await;
    (line, left)
}

/// Enqueues the jobs from `first` to `last` that nothing else enqueues, each when the one before it is completed.
async fn supply(line: &Line, kinds: &[&'static str], first: usize, last: usize) {
    for number in first..=last {
        if number > 0 && number > first {
            line.until_done(kinds[number - 1]).await;
        }
        if line.count(kinds[number], "completed").await == 0 && !line.is_live(kinds[number]).await {
            line.start(kinds[number]).await;
        }
    }
}

/// Kills at every point, the kinds side by side in one round, and compares.
async fn at_every_point(kinds: &'static [&'static str]) {
    let (expected, statements) = undisturbed(kinds).await;
    let points: Vec<Vec<Point>> = statements.iter().map(|statements| points(statements)).collect();
    let rounds = points.iter().map(Vec::len).max().expect("kinds");
    let mut results = futures::stream::iter(0..rounds)
        .map(|number| {
            let at: Vec<_> = points.iter().map(|points| points.get(number).copied()).collect();
            async move {
                let _turn = ROUNDS.acquire().await.expect("never closed");
                let (line, left) = round(kinds, &at).await;
                (at, line, left)
            }
        })
        .buffer_unordered(rounds);
    while let Some((at, line, left)) = results.next().await {
        left.assert_is(&expected, &format!("killed at {at:?}"));
        assert!(line.scratch().is_empty(), "killed at {at:?}: {:?}", line.scratch());
        assert_only_crashes(&line).await;
    }
    println!("{rounds} rounds: {:?}", statements.iter().map(Vec::len).collect::<Vec<_>>());
}

async fn assert_only_crashes(line: &Line) {
    let classes: Vec<String> = sqlx::query_scalar("SELECT DISTINCT class FROM queue.failed_attempts")
        .fetch_all(line.pool())
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

/// What shows up while a stage works, in its order; the last one of each stage stays, so that none is waited for in vain.
const DOWNLOADING: [&str; 5] = ["source", "scratch/audio.m4a", "audio_tmp", "audio_tmp whole", "audio/"];
const TRANSCRIBING: [&str; 5] = ["audio.f32", "audio_tmp", "audio_tmp json", "vtt", "json"];

/// How far a stage is, judged by its files alone: the highest number of those in its list that are there.
fn progress(line: &Line, names: &[&str]) -> usize {
    let stored = line.files_of_lecture();
    let local = [line.scratch(), line.downloads()].concat();
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

/// Kills as soon as a file shows up: in the middle of a write, between a write and its rename, between two renames. Where
/// exactly is up to the machine; that it makes no difference is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_lecture_survives_a_kill_at_any_file() {
    let (expected, _) = undisturbed(&STAGES).await;
    let mut results = futures::stream::iter(1..=DOWNLOADING.len())
        .map(|far| async move {
            let _turn = ROUNDS.acquire().await.expect("never closed");
            let line = Line::new().await;
            line.start("submit").await;
            for names in [DOWNLOADING, TRANSCRIBING] {
                let door = Door::new(&line.pool().connect_options());
                let mut process = Process::start(&line, &door, &STAGES, "quick");
                let deadline = std::time::Instant::now() + Duration::from_secs(60);
                while progress(&line, &names) < far {
                    assert!(std::time::Instant::now() < deadline, "{} never shows up", names[far - 1]);
                    tokio::time::sleep(Duration::from_micros(300)).await;
                }
                process.kill();
            }
            let door = Door::new(&line.pool().connect_options());
            let mut process = Process::start(&line, &door, &STAGES, "quick");
            line.until_state("transcribe", "completed").await;
            process.kill();
            (far, Left::of(&line).await, line)
        })
        .buffer_unordered(DOWNLOADING.len());
    while let Some((far, left, line)) = results.next().await {
        left.assert_is(
            &expected,
            &format!("killed at {} and {}", DOWNLOADING[far - 1], TRANSCRIBING[far - 1]),
        );
        assert!(line.scratch().is_empty(), "{:?}", line.scratch());
        assert_only_crashes(&line).await;
    }
}
