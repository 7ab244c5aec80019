//! The HTTP API beside pgbench on the same server: the cost of HTTP, validation and other rows around a
//! submission.

mod api;
mod load;
mod pgbench;

use std::path::PathBuf;

use bedel_test_support::Cluster;
use sqlx::{Connection, PgConnection};

use crate::clock;
use crate::error::Result;
use crate::page::{self, Row, median};
use crate::report::{Machine, figure};
use crate::server;

use self::api::Api;
use self::load::Answers;

/// Connections of each measurement.
const CONNECTIONS: usize = 32;

/// Bytes of the recording that is uploaded.
const UPLOAD_BYTES: usize = 100 * 1024 * 1024;

/// What to run.
#[derive(Debug, Clone, clap::Args)]
pub struct HttpArgs {
    /// Path of the bedel program.
    #[arg(long)]
    bedel: PathBuf,
    /// Rounds; each measures everything once. Reports medians.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Write docs/reference/benchmarks-api.md.
    #[arg(long)]
    publish: bool,
    /// Directory of published results.
    #[arg(long, default_value = "../../docs", hide = true)]
    docs: PathBuf,
}

/// One round.
struct Round {
    submissions: Answers,
    /// Transactions per second of pgbench with the statements of a submission.
    submissions_limit: f64,
    looks: Answers,
    /// Transactions per second of `pgbench -S`.
    looks_limit: f64,
    /// Largest growth of the program's resident memory during an upload, in bytes.
    upload_bytes: f64,
}

/// Measures and prints.
pub async fn run(args: &HttpArgs) -> Result<()> {
    let cluster = server::start().await?;
    let machine = Machine::look(&cluster).await?;
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        let round = round(args, &cluster).await?;
        println!(
            "{number}  submissions/s {} of {}  looks/s {} of {}  upload {} MiB",
            figure(round.submissions.per_second),
            figure(round.submissions_limit),
            figure(round.looks.per_second),
            figure(round.looks_limit),
            figure(round.upload_bytes / 1024.0 / 1024.0)
        );
        rounds.push(round);
    }
    cluster.stop().await;
    let table = page::table(&rows(&rounds));
    println!("\n{table}");
    if args.publish {
        page::publish(&args.docs.join("benchmarks-api.md"), &document(&machine, args, &table))?;
    }
    Ok(())
}

/// Uses a fresh database, so rounds do not affect each other.
async fn round(args: &HttpArgs, cluster: &Cluster) -> Result<Round> {
    let name = format!("api_{}", clock::now());
    cluster.create(&name).await?;
    let url = cluster.url(&name);
    let api = Api::start(&args.bedel, &url).await?;
    let lecture = api.submit_one().await?;
    let upload_bytes = api.memory_of_an_upload(UPLOAD_BYTES).await?;

    let submissions = load::submissions(&api, CONNECTIONS, args.seconds).await?;
    // Autovacuum may not have run yet; plans should be those of a system in use.
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql("-- http::round\nANALYZE").execute(&mut connection).await?;
    connection.close().await?;
    let submissions_limit = pgbench::submissions(&url, CONNECTIONS, args.seconds).await?;
    let looks = load::looks(&api, &lecture, CONNECTIONS, args.seconds).await?;
    pgbench::fill(&url).await?;
    let looks_limit = pgbench::select_only(&url, CONNECTIONS, args.seconds).await?;
    api.stop().await?;
    cluster.drop(&name).await?;
    Ok(Round { submissions, submissions_limit, looks, looks_limit, upload_bytes })
}

/// Medians, with the aims.
fn rows(rounds: &[Round]) -> Vec<Row> {
    let of = |value: fn(&Round) -> f64| median(rounds, value);
    vec![
        Row::plain("submissions over HTTP, per second", of(|round| round.submissions.per_second)),
        Row::plain("pgbench with their statements, per second", of(|round| round.submissions_limit)),
        Row::at_least("their ratio", of(|round| round.submissions.per_second / round.submissions_limit), 0.4),
        Row::plain("submissions, p50 in ms", of(|round| round.submissions.p50_ms)),
        Row::at_most("submissions, p99 in ms", of(|round| round.submissions.p99_ms), 50.0),
        Row::plain("GET …/status, per second", of(|round| round.looks.per_second)),
        Row::plain("pgbench -S, per second", of(|round| round.looks_limit)),
        Row::at_least("their ratio", of(|round| round.looks.per_second / round.looks_limit), 0.4),
        Row::plain("GET …/status, p99 in ms", of(|round| round.looks.p99_ms)),
        Row::less_than(
            "memory of an upload of 100 MiB, in MiB",
            of(|round| round.upload_bytes / 1024.0 / 1024.0),
            20.0,
        ),
    ]
}

fn document(machine: &Machine, args: &HttpArgs, table: &str) -> String {
    format!(
        "# Benchmark of the HTTP API\n\n\
         Made by\n\n```sh\nscript/bench api --publish\n```\n\n\
         {}\n\n{table}\n\
         Medians of {} rounds of {} s for each rate, {CONNECTIONS} connections, all on one machine: load, API and PostgreSQL share its \
         processors. Each round has a fresh database with full durability, and measures a rate of the API and its limit one after the \
         other. A submission is a new recording of one user; pgbench sends the statements of its transaction, prepared, with a \
         new recording each time. `pgbench -S` is its own script at its default protocol. Memory is the highest resident memory of the \
         API's process during the upload, less that before it. That a page of the list reads as much among 1,000,000 lectures as among \
         1,000 is a test: `api::listing::a_page_reads_as_much_among_a_thousand_times_as_many_lectures`.\n",
        machine.sentence(),
        args.rounds,
        args.seconds
    )
}
