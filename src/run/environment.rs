//! Builds the jobs' environment from the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bedel_fetch::{FetchPolicy, Fetcher};
use bedel_jobs::installation::{self, TieError};
use bedel_jobs::{Environment, Settings};
use bedel_media::MediaTools;
use bedel_speech::engines::EngineKind;
use bedel_speech::remote::RemoteEngine;
use bedel_speech::{Engine, Engines};
use bedel_storage::{Storage, StorageError};
use sqlx::PgPool;

use crate::config::speech::{EngineChoice, SpeechOptions};
use crate::error::CliError;

/// Parts of the environment.
pub struct Parts {
    /// The database.
    pub pool: PgPool,
    /// Stored files.
    pub storage: Storage,
    /// Scratch directory of this process.
    pub scratch: PathBuf,
    /// Downloads, shared by all processes of this host.
    pub downloads: PathBuf,
    /// Settings of the jobs.
    pub settings: Settings,
    /// ffmpeg and ffprobe.
    pub media: MediaTools,
    /// The speech engines, if there are any.
    pub engines: Option<Engines>,
}

/// Builds the environment.
///
/// # Errors
/// If outgoing HTTP cannot be set up.
pub fn build(parts: Parts) -> Result<Arc<Environment>, CliError> {
    let fetcher = |policy: &FetchPolicy| {
        Fetcher::new(policy.clone()).map_err(|error| CliError::Failed(format!("outgoing HTTP: {error}")))
    };
    Ok(Arc::new(Environment {
        pool: parts.pool,
        storage: parts.storage,
        scratch: parts.scratch,
        downloads: parts.downloads,
        fetcher: fetcher(&parts.settings.fetch)?,
        webhook_fetcher: fetcher(&parts.settings.webhooks)?,
        media: parts.media,
        engines: parts.engines,
        settings: parts.settings,
    }))
}

/// Opens the storage. A missing directory is created.
///
/// # Errors
/// If it cannot be opened.
pub fn storage(directory: &Path) -> Result<Storage, CliError> {
    Storage::local(directory)
        .map_err(|error| CliError::Usage(format!("BEDEL_STORAGE_DIR, {}: {error}", directory.display())))
}

/// For a process that runs no jobs: no media tools, scratch or engine. A command does not even need a
/// storage.
///
/// # Errors
/// Like [`build`].
pub fn without_tools(
    pool: PgPool,
    storage: Storage,
    settings: Settings,
) -> Result<Arc<Environment>, CliError> {
    build(Parts {
        pool,
        storage,
        scratch: std::env::temp_dir(),
        downloads: std::env::temp_dir(),
        settings,
        media: MediaTools::by_name(),
        engines: None,
    })
}

/// Advice if the database is tied to another storage.
pub const SECOND_STORAGE: &str = "Set BEDEL_STORAGE_DIR to the directory of the other processes (the default is \
     relative to the working directory).\nIf that storage is lost, stop all processes and let the next one tie its \
     own:\n\
     psql \"$DATABASE_URL\" -c 'UPDATE bedel_installation SET tied_at = NULL'";

/// Ties the storage to the database, or checks that they belong together. The database must answer.
///
/// # Errors
/// Usage error if one belongs to another; failure if either cannot be read.
pub async fn check_installation(environment: &Environment) -> Result<(), CliError> {
    match installation::tie(&environment.storage, &environment.pool).await {
        Ok(()) => Ok(()),
        Err(TieError::Storage(error @ StorageError::WrongInstallation { .. })) => {
            Err(CliError::Usage(format!(
                "{error}. Point BEDEL_STORAGE_DIR at the storage of this database, or DATABASE_URL at the database of \
                 this storage."
            )))
        }
        Err(TieError::Storage(error @ StorageError::NotMarked { .. })) => {
            Err(CliError::Usage(format!("BEDEL_STORAGE_DIR: {error}. {SECOND_STORAGE}")))
        }
        Err(TieError::Storage(error)) => Err(CliError::Failed(format!("storage: {error}"))),
        Err(TieError::Database(error)) => Err(error.into()),
    }
}

/// The directory of installed models.
///
/// # Errors
/// If neither `BEDEL_MODEL_DIR` nor a home directory is set.
pub fn model_dir(options: &SpeechOptions) -> Result<PathBuf, CliError> {
    match &options.model_dir {
        Some(directory) => Ok(directory.clone()),
        None => bedel_speech::models::default_dir()
            .map_err(|error| CliError::Usage(format!("{error}. Or set BEDEL_MODEL_DIR"))),
    }
}

/// The configured engine and those that jobs may request instead.
///
/// # Errors
/// If the engine is switched off or not compiled in, its model is missing or unreadable, or its server's
/// address is. The text says what to type.
pub fn engines(options: &SpeechOptions, media: &MediaTools) -> Result<Engines, String> {
    let chosen = match options.engine {
        EngineChoice::None => return Err("BEDEL_ENGINE=none".to_owned()),
        EngineChoice::Embedded => EngineKind::Embedded,
        EngineChoice::Openai => EngineKind::Openai,
        EngineChoice::Task => EngineKind::Task,
    };
    let mut engines = Engines::new(chosen, engine(chosen, options, media)?);
    for kind in [EngineKind::Embedded, EngineKind::Openai, EngineKind::Task] {
        if kind == chosen || !options.is_set_up(kind) {
            continue;
        }
        match engine(kind, options, media) {
            Ok(engine) => engines = engines.with(kind, engine),
            Err(reason) => {
                tracing::warn!("engine {} is unavailable to jobs that request it: {reason}", kind.name())
            }
        }
    }
    Ok(engines)
}

fn engine(kind: EngineKind, options: &SpeechOptions, media: &MediaTools) -> Result<Arc<dyn Engine>, String> {
    let unset = |variable: &str| format!("BEDEL_ENGINE={} needs {variable}", kind.name());
    let made: Result<Arc<dyn Engine>, _> = match kind {
        EngineKind::Embedded => return embedded(options),
        EngineKind::Openai => {
            let settings = options.openai()?.ok_or_else(|| unset("BEDEL_OPENAI_URL"))?;
            RemoteEngine::openai(settings, media.clone()).map(|engine| Arc::new(engine) as _)
        }
        EngineKind::Task => {
            let settings = options.task()?.ok_or_else(|| unset("BEDEL_TASK_URL"))?;
            RemoteEngine::task(settings, media.clone()).map(|engine| Arc::new(engine) as _)
        }
    };
    made.map_err(|error| error.to_string())
}

#[cfg(feature = "whisper")]
fn embedded(options: &SpeechOptions) -> Result<Arc<dyn Engine>, String> {
    let directory = model_dir(options).map_err(|error| error.to_string())?;
    bedel_speech::models::resolve(&options.model, &directory).map_err(|error| error.to_string())?;
    Ok(Arc::new(bedel_speech::whisper::Whisper::new(&options.model, directory, options.language())))
}

#[cfg(not(feature = "whisper"))]
fn embedded(_options: &SpeechOptions) -> Result<Arc<dyn Engine>, String> {
    Err("this program was built without the feature `whisper`. Type: cargo build --release".to_owned())
}
