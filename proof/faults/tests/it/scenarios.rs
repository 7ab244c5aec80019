//! One test per scenario.

use std::process::Command;

fn faults(arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_faults")).args(arguments).output().expect("the program starts");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn play(scenario: &str) {
    let (clean, report) = faults(&["run", "--short", "--only", scenario]);
    println!("{report}");
    assert!(clean, "a promise was broken, or the scenario could not be played: see the report");
}

#[test]
fn every_scenario_has_a_test() {
    let (_, said) = faults(&["run", "--only", "no-such-scenario"]);
    let (_, known) = said.split_once("there are: ").expect("the names of the scenarios");
    let played: Vec<&str> = include_str!("scenarios.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("play(\"")?.strip_suffix("\");"))
        .collect();
    assert_eq!(known.trim().split(", ").collect::<Vec<_>>(), played);
}

#[test]
fn kill_9_at_random_moments() {
    play("kills");
}

#[test]
fn kill_9_at_the_default_times() {
    play("kills-default");
}

#[test]
fn kill_9_beside_an_old_snapshot() {
    play("snapshot");
}

#[test]
fn a_third_of_fifty_processes_is_killed() {
    play("crowd");
}

#[test]
fn stopped_past_the_rescue_and_continued() {
    play("stops");
}

#[test]
fn sigterm_storms() {
    play("terms");
}

#[test]
fn the_database_restarts_and_is_away() {
    play("restarts");
}

#[test]
fn the_database_is_killed_under_a_stream_of_claims() {
    play("server-kills");
}

#[test]
fn the_answer_to_a_claim_is_lost() {
    play("claim-answer");
}

#[test]
fn the_answer_to_a_heartbeat_is_lost() {
    play("beat-answer");
}

#[test]
fn the_answer_to_commit_is_lost() {
    play("commit-answer");
}

#[test]
fn the_answer_to_a_completion_is_lost() {
    play("complete-answer");
}

#[test]
fn a_crash_before_and_after_each_statement() {
    play("statements");
}

#[test]
fn handlers_hold_every_connection() {
    play("pool");
}

#[test]
fn the_clock_of_the_database_jumps() {
    play("clock");
}

#[test]
fn poison_among_twenty() {
    play("poison");
}

#[test]
fn a_long_job_among_many_that_kill_their_process() {
    play("innocents");
}

#[test]
fn handlers_that_hang() {
    play("hangs");
}

#[test]
fn a_handler_that_ignores_its_cancellation() {
    play("deaf");
}

#[test]
fn handlers_and_hooks_that_panic() {
    play("panics");
}

#[test]
fn every_notification_is_lost() {
    play("notify");
}

#[test]
fn lectures_from_all_sides() {
    play("lectures");
}

#[test]
fn schedulers_that_are_killed() {
    play("schedulers");
}

#[test]
fn one_unique_key_from_fifty_transactions() {
    play("unique");
}
