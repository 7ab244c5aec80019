//! `bedel worker`.

use clap::Args;
use std::collections::BTreeMap;
use std::num::NonZero;

use bedel_jobs::download::Download;
use bedel_jobs::probe::Probe;
use bedel_jobs::registry;
use bedel_jobs::transcribe::Transcribe;
use bedel_media::MediaTools;
use bedel_queue::{Job, Queue, run_worker};
use bedel_speech::Engines;

use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::config::jobs::JobOptions;
use crate::config::speech::{EngineChoice, SpeechOptions};
use crate::config::storage::StorageOptions;
use crate::config::worker::WorkerOptions;
use crate::error::CliError;
use crate::metrics;
use crate::run::database::{self, Role};
use crate::run::environment::{self, Parts};
use crate::run::process;
use crate::run::scratch::Scratch;

/// Run jobs until SIGTERM. Running jobs then get a deadline; unfinished ones are released.
#[derive(Debug, Args)]
pub struct WorkerCommand {
    /// See [`DatabaseOptions`].
    #[command(flatten)]
    pub database: DatabaseOptions,
    /// See [`WorkerOptions`].
    #[command(flatten)]
    pub worker: WorkerOptions,
    /// See [`StorageOptions`].
    #[command(flatten)]
    pub storage: StorageOptions,
    /// See [`JobOptions`].
    #[command(flatten)]
    pub jobs: JobOptions,
    /// See [`SpeechOptions`].
    #[command(flatten)]
    pub speech: SpeechOptions,
}

/// Runs jobs until the process is asked to stop. Waits while the database is down.
///
/// # Errors
/// If the configuration is invalid.
pub async fn run(command: &WorkerCommand, common: &CommonOptions) -> Result<(), CliError> {
    let stop = process::stop_token(common.exit_with_parent.then_some(command.worker.drain_seconds))?;
    let settings = command.jobs.settings().map_err(CliError::Usage)?;
    let media = media_tools(&command.worker.slots.0)?;
    let pool = database::pool(&database::resolve(&command.database, &common.data_dir)?, Role::Worker)?;

    let mut slots = command.worker.slots.0.clone();
    let (engines, readiness) = engines(&command.speech, &media, &mut slots)?;

    let base = command.storage.scratch_dir(&common.data_dir);
    let scratch = Scratch::claim(&base)
        .map_err(|error| CliError::Usage(format!("BEDEL_SCRATCH_DIR, {}: {error}", base.display())))?;
    let environment = environment::build(Parts {
        pool: pool.clone(),
        storage: environment::storage(&command.storage.storage_dir(&common.data_dir))?,
        scratch: scratch.path().to_owned(),
        downloads: base.join("downloads"),
        settings,
        media,
        engines,
    })?;
    let registry = registry(environment.clone());
    command.worker.check(&registry.kinds()).map_err(CliError::Usage)?;
    if !database::wait_until_ready(&pool, &stop).await? {
        return Ok(());
    }
    environment::check_installation(&environment).await?;

    let options = bedel_queue::WorkerOptions {
        name: name(),
        slots,
        beat: command.worker.beat_seconds,
        dead_after: command.worker.dead_after_seconds,
        poll: command.worker.poll_seconds,
        drain: command.worker.drain_seconds,
        ..bedel_queue::WorkerOptions::default()
    };
    if let Some(address) = command.worker.metrics_listen {
        metrics::collected();
        tokio::spawn(metrics::serve(address, readiness, stop.clone()));
    }
    tracing::info!(worker = options.name, slots = ?options.slots, "ready for jobs");
    run_worker(Queue::new(pool), registry, options, stop)
        .await
        .map_err(|error| CliError::Failed(format!("worker: {error}")))
}

/// ffmpeg and ffprobe, which three kinds need.
fn media_tools(slots: &BTreeMap<String, usize>) -> Result<MediaTools, CliError> {
    if ![Download::KIND, Probe::KIND, Transcribe::KIND].iter().any(|kind| slots.contains_key(*kind)) {
        return Ok(MediaTools::by_name());
    }
    MediaTools::find().map_err(|error| CliError::Usage(error.to_string()))
}

/// The engines, and the worker's readiness. Without an engine the transcribe slots are dropped, for the
/// returned reason.
fn engines(
    options: &SpeechOptions,
    media: &MediaTools,
    slots: &mut BTreeMap<String, usize>,
) -> Result<(Option<Engines>, Result<(), String>), CliError> {
    if !slots.contains_key(Transcribe::KIND) {
        return Ok((None, Ok(())));
    }
    let reason = match environment::engines(options, media) {
        Ok(engines) => {
            limit_to_cores(options, slots);
            return Ok((Some(engines), Ok(())));
        }
        Err(reason) => reason,
    };
    slots.remove(Transcribe::KIND);
    tracing::warn!("no speech engine: this worker leaves {} jobs to others. {reason}", Transcribe::KIND);
    match slots.is_empty() {
        true => Err(CliError::Usage(format!("this worker has no slots left: {reason}"))),
        false => Ok((None, Err(format!("{reason}; then restart this worker")))),
    }
}

/// A transcription with the embedded engine loads one core; more at a time are slower overall.
fn limit_to_cores(options: &SpeechOptions, slots: &mut BTreeMap<String, usize>) {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    if options.engine == EngineChoice::Embedded
        && let Some(wanted) = slots.get_mut(Transcribe::KIND)
        && *wanted > cores
    {
        tracing::warn!("transcribe={wanted} exceeds the cores of this host: running {cores} at a time");
        *wanted = cores;
    }
}

/// Name for operators: host and process id.
fn name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}
