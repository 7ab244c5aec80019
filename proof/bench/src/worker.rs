//! A worker process, seen from inside and from outside.
//!
//! The benchmark starts itself again as `worker`. They talk in lines: the worker writes `ready`, `ran N` and
//! finally `summary {…}`; the benchmark writes `go` and `stop`. A worker also stops when its standard input
//! ends, so a killed benchmark leaves none behind.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use crate::contender::{Contender, Tuning, Work};
use crate::error::{BenchError, Result, io};
use crate::gate::Gate;
use crate::probe::{Probe, Summary};

/// Interval between reports of a busy worker.
const REPORT: Duration = Duration::from_millis(5);

/// Longest wait for a worker's connections, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Command line of a worker process.
#[derive(Debug, Clone, clap::Args)]
pub struct WorkerArgs {
    /// Whose worker.
    #[arg(long)]
    pub contender: String,
    /// The database.
    #[arg(long)]
    pub url: String,
    /// Settings to try.
    #[arg(long, default_value = "")]
    pub tune: String,
    /// Runs of all processes together.
    #[arg(long, default_value_t = 0)]
    pub target: u64,
    /// Each job fails once.
    #[arg(long)]
    pub fail_once: bool,
    /// Jobs come one at a time: report the start of each run.
    #[arg(long)]
    pub paced: bool,
}

/// The worker process.
pub async fn run(contender: &dyn Contender, args: &WorkerArgs) -> Result<()> {
    let probe = Arc::new(Probe::new(args.target, args.fail_once, args.paced));
    let stop = CancellationToken::new();
    let (gate, keeper) = Gate::new();
    tokio::spawn(obey(keeper, stop.clone()));
    let reports = tokio::spawn(report(Arc::clone(&probe)));
    let work = Work {
        url: args.url.clone(),
        tuning: args.tune.parse()?,
        paced: args.paced,
        probe: Arc::clone(&probe),
        gate,
        stop: stop.clone(),
    };
    let outcome = contender.work(work).await;
    reports.abort();
    if outcome.is_ok() && !stop.is_cancelled() {
        return Err(BenchError::Wrong {
            contender: contender.name(),
            what: "the worker ended by itself".to_owned(),
        });
    }
    say(&format!("summary {}", serde_json::to_string(&probe.summary())?));
    outcome
}

/// Forwards orders.
async fn obey(keeper: crate::gate::Keeper, stop: CancellationToken) {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    if keeper.ready.await.is_ok() {
        say("ready");
    }
    let mut open = Some(keeper.open);
    while let Ok(Some(order)) = orders.next_line().await {
        match order.as_str() {
            "go" => drop(open.take().map(|open| open.send(()))),
            _ => break,
        }
    }
    stop.cancel();
}

/// Reports progress: periodically, and at once when this process has done all of it.
async fn report(probe: Arc<Probe>) {
    let mut told = 0;
    loop {
        tokio::select! {
            () = probe.reached() => {}
            () = tokio::time::sleep(REPORT) => {}
        }
        let runs = probe.runs();
        if runs != told {
            say(&format!("ran {runs}"));
            told = runs;
        }
    }
}

fn say(line: &str) {
    // If the benchmark is gone, the worker stops by itself.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A worker process as the benchmark sees it.
#[derive(Debug)]
pub struct WorkerProcess {
    contender: &'static str,
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    runs: u64,
}

/// Which worker processes to start.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Whose.
    pub contender: &'static str,
    /// The database.
    pub url: &'a str,
    /// Settings to try.
    pub tuning: &'a Tuning,
    /// Runs of all processes together.
    pub target: u64,
    /// Each job fails once.
    pub fail_once: bool,
    /// Jobs come one at a time: report the start of each run.
    pub paced: bool,
}

impl WorkerProcess {
    /// Starts a process and waits until it reaches its gate.
    pub async fn start(start: &Start<'_>) -> Result<Self> {
        let program = std::env::current_exe().map_err(io("find this program"))?;
        let mut command = Command::new(program);
        command.arg("worker").args(["--contender", start.contender, "--url", start.url]);
        command.args(["--tune", &start.tuning.to_string(), "--target", &start.target.to_string()]);
        if start.fail_once {
            command.arg("--fail-once");
        }
        if start.paced {
            command.arg("--paced");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(io("start a worker process"))?;
        let orders = child.stdin.take().expect("the worker's input is a pipe");
        let lines = BufReader::new(child.stdout.take().expect("the worker's output is a pipe")).lines();
        let mut process = Self { contender: start.contender, child, orders, lines, runs: 0 };
        let line = tokio::time::timeout(PATIENCE, process.line())
            .await
            .map_err(|_| late(start.contender, "connections"))??;
        if line == "ready" { Ok(process) } else { Err(process.wrong(&line)) }
    }

    /// Opens the gate.
    pub async fn go(&mut self) -> Result<()> {
        self.order("go\n").await
    }

    /// Waits for the worker's next report and returns the number of runs so far.
    pub async fn progress(&mut self) -> Result<u64> {
        let line = self.line().await?;
        let runs = line.strip_prefix("ran ").and_then(|runs| runs.parse().ok());
        self.runs = runs.ok_or_else(|| self.wrong(&line))?;
        Ok(self.runs)
    }

    /// Number of runs in the latest report.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Ends the worker and returns its summary.
    pub async fn stop(mut self) -> Result<Summary> {
        let contender = self.contender;
        let end = async move {
            self.order("stop\n").await?;
            let summary = loop {
                let line = self.line().await?;
                if let Some(summary) = line.strip_prefix("summary ") {
                    break serde_json::from_str(summary)?;
                }
            };
            let status = self.child.wait().await.map_err(io("wait for a worker process"))?;
            if status.success() { Ok(summary) } else { Err(self.wrong(&status.to_string())) }
        };
        tokio::time::timeout(PATIENCE, end).await.map_err(|_| late(contender, "its worker's end"))?
    }

    async fn order(&mut self, order: &str) -> Result<()> {
        self.orders.write_all(order.as_bytes()).await.map_err(io("tell a worker what to do"))
    }

    async fn line(&mut self) -> Result<String> {
        let line = self.lines.next_line().await.map_err(io("read what a worker says"))?;
        line.ok_or_else(|| self.wrong("it ended without a word"))
    }

    fn wrong(&self, what: &str) -> BenchError {
        BenchError::Wrong { contender: self.contender, what: format!("the worker process: {what}") }
    }
}

fn late(contender: &'static str, what: &str) -> BenchError {
    BenchError::Late { contender, what: what.to_owned(), seconds: PATIENCE.as_secs() }
}
