//! `bedel top`: a live view of the queue in the terminal.
//!
//! `reader` reads two parts of a `snapshot` a second, `view` draws it, `keys` turns keys into actions.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use bedel_jobs::{Environment, Settings, registry};
use bedel_queue::Registry;
use bedel_storage::Storage;
use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use sqlx::PgPool;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::output::OutputOptions;
use super::{jobs, queues, style, table};
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::error::CliError;
use crate::run::{database, environment};

mod keys;
mod reader;
mod snapshot;
mod view;

use keys::{Action, Request, Ui};
use reader::Reader;
use snapshot::Snapshot;

/// Time between two reads.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// Size of a frame of `--once` without a terminal.
const PLAIN_WIDTH: usize = 100;
const PLAIN_HEIGHT: u16 = 50;

/// Watch lanes, workers, failures, hosts and schedules in the terminal.
///
/// Keys: q quits, Tab and the arrows select, p pauses or resumes a lane, r retries a discarded job, c cancels a
/// running one.
#[derive(Debug, Args)]
pub struct TopCommand {
    /// Print one frame as text and exit
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
    #[command(flatten)]
    jobs: JobOptions,
}

impl TopCommand {
    /// True if it draws on the whole terminal.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.once
    }

    /// Shows the view until `q`, a signal or the end of the terminal.
    ///
    /// # Errors
    /// Without a terminal, or if the database cannot be used at the start. Later errors of the database are shown.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        if self.output.is_json() && !self.once {
            return Err(CliError::Usage(
                "--json prints one snapshot; type: bedel top --once --json".to_owned(),
            ));
        }
        let has_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if !self.once && !has_terminal {
            return Err(CliError::Usage(
                "bedel top needs a terminal; type `bedel top --once` for one frame as text".to_owned(),
            ));
        }
        let settings = self.jobs.settings().map_err(CliError::Usage)?;
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let registry =
            registry(environment::without_tools(pool.clone(), Storage::unusable(), settings.clone())?);
        let mut reader = Reader::new(pool.clone(), registry.clone()).await?;
        reader.read_all().await?;
        if self.once {
            let snapshot = reader.snapshot();
            return self.output.print(snapshot, || frame(snapshot));
        }
        let operator = Operator { pool, settings, registry };
        let terminal = ratatui::try_init();
        let shown = match terminal {
            Ok(mut terminal) => show(&mut terminal, reader, operator).await,
            Err(error) => Err(CliError::Failed(format!("the terminal: {error}"))),
        };
        ratatui::restore();
        shown
    }
}

/// One frame as text.
fn frame(snapshot: &Snapshot) -> String {
    let width = table::terminal_width().unwrap_or(PLAIN_WIDTH);
    view::text(snapshot, u16::try_from(width).unwrap_or(u16::MAX), PLAIN_HEIGHT)
}

/// Changes what the view shows.
struct Operator {
    pool: PgPool,
    settings: Settings,
    registry: Registry<Arc<Environment>>,
}

impl Operator {
    async fn perform(&self, request: &Request) -> Result<String, CliError> {
        match request {
            Request::Pause(lane) => {
                queues::pause(&self.pool, lane).await?;
                Ok(format!("{lane} is paused"))
            }
            Request::Resume(lane) => {
                queues::resume(&self.pool, lane).await?;
                Ok(format!("{lane} is resumed"))
            }
            Request::Retry(job) => {
                let due = jobs::retry(&self.pool, &self.settings, *job).await?;
                Ok(format!("{due} is available now"))
            }
            Request::Cancel(job) => {
                jobs::cancel(&self.pool, &self.registry, *job, "cancelled by an operator").await?;
                Ok(format!("{job} is cancelled"))
            }
        }
    }
}

/// What the task that reads sends to the one that draws.
enum Update {
    Snapshot(Box<Snapshot>),
    Outcome(String),
}

/// Reads and performs requests until the view is gone.
async fn serve(
    mut reader: Reader,
    operator: Operator,
    mut requests: mpsc::Receiver<Request>,
    updates: mpsc::Sender<Update>,
) {
    let mut interval = tokio::time::interval(READ_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let update = tokio::select! {
            _ = interval.tick() => {
                reader.read_next().await;
                Update::Snapshot(Box::new(reader.snapshot().clone()))
            }
            request = requests.recv() => {
                let Some(request) = request else { return };
                let outcome = operator.perform(&request).await.unwrap_or_else(|error| error.to_string());
                reader.read_changed().await;
                if updates.send(Update::Snapshot(Box::new(reader.snapshot().clone()))).await.is_err() {
                    return;
                }
                Update::Outcome(outcome)
            }
        };
        if updates.send(update).await.is_err() {
            return;
        }
    }
}

/// Draws after each change, until it ends.
async fn show(terminal: &mut DefaultTerminal, reader: Reader, operator: Operator) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("the terminal: {error}"));
    let mut signals = Vec::new();
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()] {
        signals.push(signal(kind).map_err(failed)?);
    }
    let mut signals = signals.into_iter();
    let [Some(mut term), Some(mut int), Some(mut hup), Some(mut quit)] =
        std::array::from_fn(|_| signals.next())
    else {
        return Ok(());
    };
    let mut snapshot = reader.snapshot().clone();
    let (request, requests) = mpsc::channel(16);
    let (update, mut updates) = mpsc::channel(16);
    tokio::spawn(serve(reader, operator, requests, update));
    let mut events = events();
    let mut ui = Ui::default();
    let has_colours = style::on_stdout();
    loop {
        terminal
            .draw(|frame| view::draw(&snapshot, &ui, has_colours, frame.area(), frame.buffer_mut()))
            .map_err(failed)?;
        tokio::select! {
            update = updates.recv() => match update {
                Some(Update::Snapshot(new)) => snapshot = *new,
                Some(Update::Outcome(text)) => ui.message = Some(text),
                None => return Err(CliError::Failed("reading the queue stopped; see the log".to_owned())),
            },
            event = events.recv() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => match ui.press(key, &snapshot) {
                    Some(Action::Quit) => return Ok(()),
                    Some(Action::Request(what)) => {
                        let is_full = request.try_send(what).is_err();
                        ui.message = is_full.then(|| "the database is busy; try again".to_owned());
                    }
                    None => {}
                },
                Some(_) => {}
                // The terminal is gone.
                None => return Ok(()),
            },
            _ = term.recv() => return Ok(()),
            _ = int.recv() => return Ok(()),
            _ = hup.recv() => return Ok(()),
            _ = quit.recv() => return Ok(()),
        }
    }
}

/// Keys and changes of size. The thread ends with the process, since reading a terminal blocks.
fn events() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}
