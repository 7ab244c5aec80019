//! The scenarios, in the order of the table: a new one is one file beside this one and one line here.

mod answers;
mod clock_jumps;
mod crowd;
mod deaf;
mod hangs;
mod kills;
mod lectures;
mod notifications;
mod panics;
mod poison;
mod pool;
mod restarts;
mod schedulers;
mod server_kills;
mod statements;
mod stops;
mod support;
mod terms;
mod unique;

use std::time::Instant;

use futures::future::LocalBoxFuture;

use crate::error::FaultsError;
use crate::report::{Outcome, Report, Row};
use crate::suite::Suite;

/// One scenario.
struct Scenario {
    name: &'static str,
    title: &'static str,
    play: for<'a> fn(&'a Suite) -> LocalBoxFuture<'a, Outcome>,
}

macro_rules! scenario {
    ($name:literal, $title:literal, $play:path) => {
        Scenario { name: $name, title: $title, play: |suite| Box::pin($play(suite)) }
    };
}

const SCENARIOS: &[Scenario] = &[
    scenario!("kills", "kill -9 at random moments; beat 0.2 s, dead after 1 s", kills::quick),
    scenario!("kills-default", "the same at the defaults: beat 3 s, dead after 10 s", kills::at_defaults),
    scenario!(
        "snapshot",
        "the same while an old snapshot keeps 200,000 jobs that ran; rescue within 5 s",
        kills::beside_an_old_snapshot
    ),
    scenario!("crowd", "50 processes at the defaults, 17 of them killed at once", crowd::play),
    scenario!("stops", "SIGSTOP past \"dead after\", then SIGCONT", stops::play),
    scenario!("terms", "SIGTERM storms", terms::play),
    scenario!("restarts", "database restarted fast, immediately, and away for long", restarts::play),
    scenario!(
        "server-kills",
        "database killed (-9, or all at once) under a stream of claims",
        server_kills::play
    ),
    scenario!("claim-answer", "the answer to a claim is lost after the server did it", answers::claim),
    scenario!("beat-answer", "the answer to a heartbeat is lost", answers::beat),
    scenario!("commit-answer", "COMMIT is lost, or its answer after the server did it", answers::commit),
    scenario!(
        "complete-answer",
        "a completion is lost, or its answer, in a commit or of plain jobs",
        answers::complete
    ),
    scenario!(
        "statements",
        "kill -9 before and after each statement of begin, commit and fail",
        statements::play
    ),
    scenario!("pool", "handlers hold every connection of the pool", pool::play),
    scenario!("clock", "the database's clock jumps an hour ahead, then two back", clock_jumps::play),
    scenario!("poison", "a job that kills its process among 20 that do not", poison::play),
    scenario!("innocents", "a job of 5 s among ten that kill their process", poison::innocents),
    scenario!("hangs", "handlers that never end", hangs::play),
    scenario!("deaf", "SIGTERM for a handler that ignores its cancellation for 30 s", deaf::play),
    scenario!("panics", "handlers and commit hooks that panic", panics::play),
    scenario!("notify", "every NOTIFY is lost", notifications::play),
    scenario!(
        "lectures",
        "lectures submitted, linked, unlinked, deleted, retried and committed at the same time",
        lectures::play
    ),
    scenario!("schedulers", "two to five schedulers, killed and started again", schedulers::play),
    scenario!("unique", "one unique key from 50 transactions, some rolled back", unique::play),
];

/// Plays all scenarios, or those named in `only`, one after another.
///
/// # Errors
/// If a name is none of a scenario's.
pub async fn play(suite: &Suite, only: &[String]) -> Result<Report, FaultsError> {
    for name in only {
        if !SCENARIOS.iter().any(|scenario| scenario.name == name) {
            let known = SCENARIOS.iter().map(|scenario| scenario.name).collect::<Vec<_>>().join(", ");
            return Err(FaultsError::UnknownScenario { name: name.clone(), known });
        }
    }
    let mut report = Report::default();
    for Scenario { name, title, play } in SCENARIOS {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        let started = Instant::now();
        let outcome = play(suite).await;
        println!("{name}: {} rounds in {:.1} s", outcome.rounds, started.elapsed().as_secs_f64());
        report.rows.push(Row { name, title, outcome });
    }
    Ok(report)
}
