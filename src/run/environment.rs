//! What the jobs may touch, built from the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bedel_fetch::Fetcher;
use bedel_jobs::installation::{self, TieError};
use bedel_jobs::{Environment, Settings};
use bedel_media::MediaTools;
use bedel_speech::engines::EngineKind;
use bedel_speech::remote::{OpenAi, Task};
use bedel_speech::{Engine, Engines};
use bedel_storage::{Storage, StorageError};
use sqlx::PgPool;

use crate::config::speech::{EngineChoice, SpeechOptions};
use crate::error::CliError;

/// What a process needs for its part.
pub struct Parts {
    /// The database.
    pub pool: PgPool,
    /// Stored files.
    pub storage: Storage,
    /// Work in progress.
    pub scratch: PathBuf,
    /// Downloads of all processes of this host.
    pub downloads: PathBuf,
    /// What the jobs go by.
    pub settings: Settings,
    /// ffmpeg and ffprobe.
    pub media: MediaTools,
    /// The speech engines, if this process has any.
    pub engines: Option<Engines>,
}

/// Puts the parts together.
///
/// # Errors
/// Where outgoing HTTP cannot be set up.
pub fn build(parts: Parts) -> Result<Arc<Environment>, CliError> {
    let fetcher = Fetcher::new(parts.settings.fetch.clone())
        .map_err(|error| CliError::Failed(format!("outgoing HTTP: {error}")))?;
    Ok(Arc::new(Environment {
        pool: parts.pool,
        storage: parts.storage,
        scratch: parts.scratch,
        downloads: parts.downloads,
        fetcher,
        media: parts.media,
        engines: parts.engines,
        settings: parts.settings,
    }))
}

/// The storage of a process that works with it. Its directory is created where it is missing.
///
/// # Errors
/// Where it cannot be opened.
pub fn storage(directory: &Path) -> Result<Storage, CliError> {
    Storage::local(directory)
        .map_err(|error| CliError::Usage(format!("BEDEL_STORAGE_DIR, {}: {error}", directory.display())))
}

/// For a process that runs no jobs itself: it needs neither media tools nor scratch nor engine, and a command not even
/// a storage.
///
/// # Errors
/// As [`build`].
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

/// What to do where the database is tied to another storage than the configured one.
pub const SECOND_STORAGE: &str = "Set BEDEL_STORAGE_DIR to the directory that the other processes use (the default is relative to the working \
     directory). If that\nstorage is lost or was given up on purpose, stop all processes and let the next one tie its own:\n\
     psql \"$DATABASE_URL\" -c 'UPDATE bedel_installation SET tied_at = NULL'";

/// Ties the storage to the database, or finds that either belongs to another one. The database must answer.
///
/// # Errors
/// Where it belongs to another: exit code 2; trouble with either: 1.
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

/// Where models are.
///
/// # Errors
/// Where there is neither `BEDEL_MODEL_DIR` nor a home directory.
pub fn model_dir(options: &SpeechOptions) -> Result<PathBuf, CliError> {
    match &options.model_dir {
        Some(directory) => Ok(directory.clone()),
        None => bedel_speech::models::default_dir()
            .map_err(|error| CliError::Usage(format!("{error}. Or set BEDEL_MODEL_DIR"))),
    }
}

/// The configured engine and those that jobs may ask for instead. `Err` is a sentence that says why there is none and what to type.
///
/// # Errors
/// Where the engine is switched off, not built in, its model is missing or unreadable, or its server's address is.
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
            Ok(engine) => engines = engines.and(kind, engine),
            Err(reason) => tracing::warn!("no engine {} for jobs that ask for it: {reason}", kind.name()),
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
            OpenAi::new(settings, media.clone()).map(|engine| Arc::new(engine) as _)
        }
        EngineKind::Task => {
            let settings = options.task()?.ok_or_else(|| unset("BEDEL_TASK_URL"))?;
            Task::new(settings, media.clone()).map(|engine| Arc::new(engine) as _)
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
    Err("this program was built without the feature `whisper`; build it with: cargo build --release"
        .to_owned())
}
