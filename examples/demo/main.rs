//! One lecture from link to transcript, with real parts and two accidents on the way: some of its segments are missing at
//! first, and the worker that transcribes it is killed with `kill -9`. A second one can only be seen after signing in.
//! Started by `script/demo`, which builds `bedel` first.
//!
//! Exit code 0 only if the lecture is completed, exactly one job was enqueued for each stage, both accidents happened, no
//! segment was fetched twice, the transcript says what was spoken, and the second lecture ended with what its student has to
//! do.

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
mod lecture;
mod timeline;
mod upstream;
mod verdict;

use api::{Api, Status};
use bedel::{Bedel, Reach};
use lecture::Lecture;
use timeline::{Line, Story, Timeline};
use upstream::Upstream;

/// Why the demonstration ends early, for the person who watches it.
type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// From the start to the verdict. What follows, the orderly end, takes seconds.
const LIMIT: Duration = Duration::from_secs(110);
/// Between two looks at the queue.
const LOOK: Duration = Duration::from_millis(100);
/// How long the upstream's failure is waited out with `--upstream-down`.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);
/// The transcribing worker is killed this long after its start: in the middle, also on a machine that is quick.
const KILL_AFTER: Duration = Duration::from_millis(2500);

/// One lecture from link to transcript, with missing segments and a killed worker on the way, and one that needs a login.
#[derive(Parser)]
#[command(name = "script/demo")]
struct Options {
    /// The recording's server is closed: the lecture ends `failed`, with a message for its student. Exit code 1.
    #[arg(long)]
    upstream_down: bool,
    /// Leave the database, the stored files and the log behind, and say where.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let directory = match directory() {
        Ok(directory) => directory,
        Err(error) => return ended(Err(format!("no temporary directory: {error}").into())),
    };
    let mut bedel = None;
    let mut show_log = !options.upstream_down;
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(LIMIT, run(&options, directory.path(), &mut bedel)) => outcome.unwrap_or_else(|_| {
            Err(format!("not done after {} s", LIMIT.as_secs()).into())
        }),
        signal = interrupted() => {
            show_log = false;
            Err(signal.into())
        }
    };
    if let Some(bedel) = bedel {
        if outcome.is_err() && show_log {
            println!("\nThe last lines of bedel dev:\n{}\n", bedel.last_words());
        }
        if let Err(error) = bedel.stop().await {
            println!("{error}");
        }
    }
    if options.keep {
        println!("Left behind: {}", directory.keep().display());
    }
    ended(outcome)
}

fn ended(outcome: Result<String, Trouble>) -> ExitCode {
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

/// A directory that PostgreSQL's own user may pass through when this runs as root.
fn directory() -> std::io::Result<tempfile::TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix("bedel-demo-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
}

async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => "terminated",
            _ = tokio::signal::ctrl_c() => "interrupted",
        },
        Err(_) => "signals cannot be received",
    }
}

async fn run(options: &Options, directory: &Path, running: &mut Option<Bedel>) -> Result<String, Trouble> {
    let upstream = if options.upstream_down { Upstream::closed().await } else { serve(directory).await? };
    let give_up_after = options.upstream_down.then_some(GIVE_UP_AFTER);
    let started = Instant::now();
    let bedel = running.insert(Bedel::start(directory, &upstream.host(), give_up_after)?);
    let reach = bedel.ready(directory).await?;
    println!(
        "Bedel is ready at {} after {:.1} s: API, scheduler and two workers on a private PostgreSQL.",
        reach.api_url,
        started.elapsed().as_secs_f64()
    );

    let api = Api::new(&reach)?;
    let submitted = api.submit(&upstream.viewer_url(), None).await?;
    println!("Submitted {} as lecture {}.\n", upstream.viewer_url(), submitted.lecture_id);
    if !submitted.created {
        return Err("the lecture was there before it was submitted".into());
    }
    let (story, status) = watch(&reach, &api, submitted.lecture_id, !options.upstream_down).await?;
    println!();
    if options.upstream_down {
        return Err(refused(&status));
    }
    if status.status != "completed" {
        return Err(format!(
            "the lecture is {}: {}",
            status.status,
            status.error_message.unwrap_or_default()
        )
        .into());
    }
    let rate = compare(&api, submitted.lecture_id).await?;
    verdict::judge(&story, &upstream)?;
    if rate > verdict::WORST_RATE {
        return Err(format!("more than {:.0} % of the words are wrong", verdict::WORST_RATE).into());
    }
    needs_login(&reach, &api, &upstream).await?;
    Ok(format!(
        "the lecture is completed ({} s of speech), one job for each stage, \
         {} segments missing at first, one worker killed; the one that needs a login says so",
        status.duration_seconds.unwrap_or_default(),
        upstream.segments().1
    ))
}

async fn serve(directory: &Path) -> Result<Upstream, Trouble> {
    let lecture: Lecture = lecture::make(directory).await?;
    let upstream = Upstream::serve(&lecture).await?;
    println!(
        "A lecture of {:.0} s ({}), {:.1} MB in {} segments, served by {}, which will lack {} of them at first.",
        lecture.seconds,
        if lecture.spoken_now { "spoken by ffmpeg's voice" } else { "from the recording in the repository" },
        megabytes(upstream.size()),
        upstream.segments().0,
        upstream.host(),
        upstream.segments().1
    );
    Ok(upstream)
}

#[expect(clippy::cast_precision_loss, reason = "a size for people, of some megabytes")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Shows the lecture's timeline to its end, and kills the worker that transcribes it, once.
async fn watch(reach: &Reach, api: &Api<'_>, lecture: Uuid, kill: bool) -> Result<(Story, Status), Trouble> {
    let pool: PgPool = PgPoolOptions::new().max_connections(1).connect(&reach.database_url).await?;
    let mut timeline = Timeline::default();
    let mut to_kill = kill;
    loop {
        let story = Story::read(&pool, lecture).await?;
        for line in timeline.changes(&story) {
            println!("{line}");
        }
        // A job ends together with what comes of it: its successor, or the lecture's own end.
        if story.jobs.iter().all(|job| job.ended.is_some()) {
            pool.close().await;
            return Ok((story, api.status(lecture).await?));
        }
        if to_kill && let Some(victim) = victim(&story) {
            bedel::kill_worker(victim.worker.as_deref().unwrap_or_default())?;
            println!("{victim}");
            to_kill = false;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The worker to kill, as the line that says so, once it is in the middle of transcribing.
fn victim(story: &Story) -> Option<Line> {
    let job = story.job("transcribe").filter(|job| job.state == "running")?;
    let running_for = story.now - job.started?;
    (running_for >= KILL_AFTER.as_secs_f64()).then(|| Line {
        at: story.now,
        kind: job.kind.clone(),
        attempt: Some(job.attempt),
        worker: job.worker.clone(),
        what: "this demo kills the worker with kill -9".to_owned(),
    })
}

/// A lecture that can only be seen after signing in, submitted with the address that a browser plays.
async fn needs_login(reach: &Reach, api: &Api<'_>, upstream: &Upstream) -> Result<(), Trouble> {
    let stream = upstream.private_stream_url();
    let submitted = api.submit(&upstream.private_viewer_url(), Some(&stream)).await?;
    println!("\nSubmitted {} as lecture {}.\n", upstream.private_viewer_url(), submitted.lecture_id);
    let (_, status) = watch(reach, api, submitted.lecture_id, false).await?;
    let message = status.error_message.as_deref().unwrap_or("no message");
    println!("\nWhat the student reads:\n  {message}\n");
    if status.status != "failed" || !message.contains("Sign in to Panopto and submit again") {
        return Err(format!("the lecture that needs a login is {}", status.status).into());
    }
    Ok(())
}

/// What the student of a closed upstream reads.
fn refused(status: &Status) -> Trouble {
    let message = status.error_message.as_deref().unwrap_or("no message");
    if status.status == "failed" {
        println!("What the student reads:\n  {message}\n");
        "the lecture ended failed, as it must while its upstream is closed".into()
    } else {
        format!("the upstream is closed, and yet the lecture is {}", status.status).into()
    }
}

/// Prints the transcript beside the words, and the rate of wrong ones, which is returned in per cent.
async fn compare(api: &Api<'_>, lecture: Uuid) -> Result<f64, Trouble> {
    let transcript = api.transcript(lecture).await?;
    let heard = format!("transcribed by {}", transcript.model);
    println!("{}\n", verdict::beside(("spoken", lecture::WORDS), (&heard, &transcript.text), 52));
    let rate = 100.0 * word_error_rate(lecture::WORDS, &transcript.text);
    println!("word error rate: {rate:.1} %");
    Ok(rate)
}
