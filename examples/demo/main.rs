//! One lecture from link to transcript, with real parts and two failures on the way: some segments are
//! missing at first, and the demo kills the transcribing worker with `kill -9`. A second lecture needs a
//! login. `script/demo` builds `bedel` and starts this program.
//!
//! The exit code is 0 only if the lecture is completed, each stage had exactly one job, both failures
//! happened, no segment was fetched twice, the transcript matches the spoken words, and the second lecture
//! ended with advice for its student.
//!
//! Reading order: `main` runs the demo; `lecture` and `upstream` provide the recording; `bedel` and `api` run
//! and call the product; `snapshot` and `timeline` show the queue; `checks` decides the outcome.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bedel_speech::wer::word_error_rate;
use clap::Parser;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

mod api;
mod bedel;
mod checks;
mod columns;
mod error;
mod lecture;
mod snapshot;
mod timeline;
mod upstream;

use api::{Api, Status};
use bedel::{Bedel, DevInfo};
use error::DemoError;
use lecture::Lecture;
use snapshot::QueueSnapshot;
use timeline::{Entry, Timeline};
use upstream::Upstream;

/// Time limit from the start to the outcome. The orderly stop afterwards takes seconds.
const TIMEOUT: Duration = Duration::from_secs(110);
/// Pause between two polls of the queue.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long Bedel retries a closed upstream with `--upstream-down`.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);
/// Time from the start of transcription to the kill: in the middle, even on a fast machine.
const KILL_AFTER: Duration = Duration::from_millis(2500);

/// One lecture from link to transcript, with missing segments and a killed worker on the way, and one that
/// needs a login.
#[derive(Parser)]
#[command(name = "script/demo")]
struct Options {
    /// Close the recording's server: the lecture ends `failed`, with a message for its student. Exit code 1.
    #[arg(long)]
    upstream_down: bool,
    /// Keep the database, the stored files and the log, and print their directory.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let directory = match temporary_directory() {
        Ok(directory) => directory,
        Err(error) => return exit_code(Err(format!("cannot create a temporary directory: {error}").into())),
    };
    let mut bedel = None;
    let mut show_log = !options.upstream_down;
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(TIMEOUT, run(&options, directory.path(), &mut bedel)) => outcome.unwrap_or_else(|_| {
            Err(format!("not done after {} s", TIMEOUT.as_secs()).into())
        }),
        signal = wait_for_signal() => {
            show_log = false;
            Err(signal.into())
        }
    };
    if let Some(bedel) = bedel {
        if outcome.is_err() && show_log {
            println!("\nThe last lines of bedel dev:\n{}\n", bedel.log_tail());
        }
        if let Err(error) = bedel.stop().await {
            println!("{error}");
        }
    }
    if options.keep {
        println!("Kept: {}", directory.keep().display());
    }
    exit_code(outcome)
}

/// Prints the outcome.
fn exit_code(outcome: Result<String, DemoError>) -> ExitCode {
    match outcome {
        Ok(summary) => {
            println!("demo: {summary}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("demo: failed: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// A temporary directory that PostgreSQL's user can enter when this runs as root.
fn temporary_directory() -> std::io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix("bedel-demo-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
}

async fn wait_for_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => "terminated",
            _ = tokio::signal::ctrl_c() => "interrupted",
        },
        Err(_) => "cannot install a signal handler",
    }
}

async fn run(options: &Options, directory: &Path, running: &mut Option<Bedel>) -> Result<String, DemoError> {
    let upstream = if options.upstream_down { Upstream::closed().await } else { serve(directory).await? };
    let give_up_after = options.upstream_down.then_some(GIVE_UP_AFTER);
    let started = Instant::now();
    let bedel = running.insert(Bedel::start(directory, &upstream.host(), give_up_after)?);
    let dev = bedel.wait_until_ready(directory).await?;
    println!(
        "Bedel is ready at {} after {:.1} s: API, scheduler and two workers on a private PostgreSQL.",
        dev.api_url,
        started.elapsed().as_secs_f64()
    );

    let api = Api::new(&dev)?;
    let submitted = api.submit(&upstream.viewer_url(), None).await?;
    println!("Submitted {} as lecture {}.\n", upstream.viewer_url(), submitted.lecture_id);
    if !submitted.created {
        return Err("the lecture existed before its submission".into());
    }
    let (snapshot, status) = watch(&dev, &api, submitted.lecture_id, !options.upstream_down).await?;
    println!();
    if options.upstream_down {
        return Err(closed_upstream_error(&status));
    }
    if status.status != "completed" {
        return Err(format!(
            "the lecture is {}: {}",
            status.status,
            status.error_message.unwrap_or_default()
        )
        .into());
    }
    let rate = print_word_error_rate(&api, submitted.lecture_id).await?;
    checks::check_run(&snapshot, &upstream)?;
    if rate > checks::MAX_WORD_ERROR_RATE {
        return Err(format!("more than {:.0} % of the words are wrong", checks::MAX_WORD_ERROR_RATE).into());
    }
    submit_private_lecture(&dev, &api, &upstream).await?;
    Ok(format!(
        "the lecture is completed ({} s of speech), one job for each stage, \
         {} segments missing at first, one worker killed; the lecture that needs a login says so",
        status.duration_seconds.unwrap_or_default(),
        upstream.segments().1
    ))
}

async fn serve(directory: &Path) -> Result<Upstream, DemoError> {
    let lecture: Lecture = lecture::make(directory).await?;
    let upstream = Upstream::serve(&lecture).await?;
    println!(
        "A lecture of {:.0} s ({}), {:.1} MB in {} segments, served by {}; {} of them are missing at first.",
        lecture.seconds,
        if lecture.is_synthesized {
            "spoken by ffmpeg's voice"
        } else {
            "from the recording in the repository"
        },
        megabytes(upstream.size()),
        upstream.segments().0,
        upstream.host(),
        upstream.segments().1
    );
    Ok(upstream)
}

#[expect(clippy::cast_precision_loss, reason = "a few megabytes, for display")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Prints the lecture's timeline until its jobs end. With `kill`, kills the transcribing worker once.
async fn watch(
    dev: &DevInfo,
    api: &Api<'_>,
    lecture: Uuid,
    kill: bool,
) -> Result<(QueueSnapshot, Status), DemoError> {
    let pool: PgPool = PgPoolOptions::new().max_connections(1).connect(&dev.database_url).await?;
    let mut timeline = Timeline::default();
    let mut to_kill = kill;
    loop {
        let snapshot = QueueSnapshot::read(&pool, lecture).await?;
        for entry in timeline.changes(&snapshot) {
            println!("{entry}");
        }
        // A job's end commits together with its successor, or with the lecture's end.
        if snapshot.jobs.iter().all(|job| job.ended.is_some()) {
            pool.close().await;
            return Ok((snapshot, api.status(lecture).await?));
        }
        if to_kill && let Some(entry) = due_kill(&snapshot) {
            bedel::kill_worker(entry.worker.as_deref().unwrap_or_default())?;
            println!("{entry}");
            to_kill = false;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The timeline entry for the kill, which names the worker, once that worker is in the middle of
/// transcribing.
fn due_kill(snapshot: &QueueSnapshot) -> Option<Entry> {
    let job = snapshot.job("transcribe").filter(|job| job.state == "running")?;
    let running_for = snapshot.now - job.started?;
    (running_for >= KILL_AFTER.as_secs_f64()).then(|| Entry {
        at: snapshot.now,
        kind: job.kind.clone(),
        attempt: Some(job.attempt),
        worker: job.worker.clone(),
        text: "this demo kills the worker with kill -9".to_owned(),
    })
}

/// Submits a lecture that needs a login, with the stream URL that a browser plays.
async fn submit_private_lecture(dev: &DevInfo, api: &Api<'_>, upstream: &Upstream) -> Result<(), DemoError> {
    let stream = upstream.private_stream_url();
    let submitted = api.submit(&upstream.private_viewer_url(), Some(&stream)).await?;
    println!("\nSubmitted {} as lecture {}.\n", upstream.private_viewer_url(), submitted.lecture_id);
    let (_, status) = watch(dev, api, submitted.lecture_id, false).await?;
    let message = status.error_message.as_deref().unwrap_or("no message");
    println!("\nWhat the student reads:\n  {message}\n");
    if status.status != "failed" || !message.contains("Sign in to Panopto and submit again") {
        return Err(format!("the lecture that needs a login is {}", status.status).into());
    }
    Ok(())
}

/// Prints the student's message and returns the outcome with a closed upstream.
fn closed_upstream_error(status: &Status) -> DemoError {
    let message = status.error_message.as_deref().unwrap_or("no message");
    if status.status == "failed" {
        println!("What the student reads:\n  {message}\n");
        "the lecture ended failed, as expected while its upstream is closed".into()
    } else {
        format!("the upstream is closed, but the lecture is {}", status.status).into()
    }
}

/// Prints the transcript beside the spoken words, and the word error rate. Returns the rate in percent.
async fn print_word_error_rate(api: &Api<'_>, lecture: Uuid) -> Result<f64, DemoError> {
    let transcript = api.transcript(lecture).await?;
    let title = format!("transcribed by {}", transcript.model);
    println!("{}\n", columns::side_by_side(("spoken", lecture::WORDS), (&title, &transcript.text), 52));
    let rate = 100.0 * word_error_rate(lecture::WORDS, &transcript.text);
    println!("word error rate: {rate:.1} %");
    Ok(rate)
}
