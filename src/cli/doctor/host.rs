//! Checks of this host.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bedel_jobs::installation::tie_of_database;
use bedel_media::MediaTools;
use bedel_speech::models;
use bedel_storage::Storage;
use rustix::fs::Access;
use sqlx::PgPool;
use uuid::Uuid;

use super::finding::Finding;
use crate::config::speech::{EngineChoice, SpeechOptions};
use crate::run::environment;

const INSTALLATION: &str = "installation";

/// The PostgreSQL programs. Only `bedel dev` and the tests run them.
pub(super) async fn postgres_programs(explicit: Option<PathBuf>, has_server: bool) -> Finding {
    const SUBJECT: &str = "PostgreSQL bin";
    let looked = tokio::task::spawn_blocking(move || {
        let directory = bedel_postgres::find_binaries(explicit.as_deref())?;
        let major = bedel_postgres::major_version(&directory)?;
        Ok::<_, bedel_postgres::PostgresError>((directory, major))
    })
    .await;
    match looked {
        Ok(Ok((directory, major))) => {
            Finding::ok(SUBJECT, format!("version {major} in {}", directory.display()))
        }
        Ok(Err(error)) if has_server => {
            Finding::warn(SUBJECT, format!("only `bedel dev` and the tests need them: {error}"))
        }
        Ok(Err(error)) => Finding::fail(SUBJECT, error.to_string()),
        Err(error) => Finding::fail(SUBJECT, error.to_string()),
    }
}

/// ffmpeg and ffprobe.
pub(super) fn media_tools() -> Vec<Finding> {
    match MediaTools::find() {
        Ok(tools) => vec![
            Finding::ok("ffmpeg", tools.ffmpeg().display().to_string()),
            Finding::ok("ffprobe", tools.ffprobe().display().to_string()),
        ],
        Err(error) => vec![Finding::fail("ffmpeg", error.to_string())],
    }
}

/// Is the storage writable, and which database does it belong to? A missing directory is not created.
pub(super) async fn storage(directory: &Path, pool: Option<&PgPool>) -> Vec<Finding> {
    const SUBJECT: &str = "storage";
    let database = match pool {
        Some(pool) => database_tie(pool).await.ok(),
        None => None,
    };
    if is_missing(directory) {
        return match database {
            Some((_, true)) => vec![second_storage()],
            _ => vec![to_be_created(SUBJECT, directory, "BEDEL_STORAGE_DIR")],
        };
    }
    let storage = match Storage::existing(directory) {
        Ok(storage) => storage,
        Err(error) => {
            let text =
                format!("{}: {error}. Make it writable, or set BEDEL_STORAGE_DIR", directory.display());
            return vec![Finding::fail(SUBJECT, text)];
        }
    };
    let written = match storage.clock().await {
        Ok(_) => Finding::ok(
            SUBJECT,
            format!(
                "{} is writable. It is a local directory: all processes must run on this host, or share \
                 the\ndirectory over a network file system",
                directory.display()
            ),
        ),
        Err(error) => Finding::fail(
            SUBJECT,
            format!("{}: {error}. Make it writable, or set BEDEL_STORAGE_DIR", directory.display()),
        ),
    };
    let tied = match storage.installation().await {
        Ok(marked) => installation(marked, database),
        Err(error) => Finding::fail(
            INSTALLATION,
            format!("{}: {error}. The storage's mark cannot be read; make it readable", directory.display()),
        ),
    };
    vec![written, tied]
}

fn second_storage() -> Finding {
    let text = format!("the database is tied to another storage. {}", environment::SECOND_STORAGE);
    Finding::fail(INSTALLATION, text)
}

async fn database_tie(pool: &PgPool) -> Result<(Uuid, bool), sqlx::Error> {
    tie_of_database(&mut *pool.acquire().await?).await
}

/// Do storage and database belong together? `database` is its id, and whether a storage is tied to it.
fn installation(storage: Option<Uuid>, database: Option<(Uuid, bool)>) -> Finding {
    const SUBJECT: &str = INSTALLATION;
    match (storage, database) {
        (Some(storage), Some((database, _))) if storage == database => {
            Finding::ok(SUBJECT, format!("{storage}: storage and database belong together"))
        }
        (Some(storage), Some((database, _))) => Finding::fail(
            SUBJECT,
            format!(
                "the storage belongs to {storage}, the database is {database}. Point BEDEL_STORAGE_DIR at the storage of \
                 this\ndatabase, or DATABASE_URL at the database of this storage"
            ),
        ),
        (Some(storage), None) => Finding::ok(SUBJECT, format!("the storage belongs to {storage}")),
        (None, Some((_, true))) => second_storage(),
        (None, _) => Finding::ok(SUBJECT, "the storage is new; the first process ties it to its database"),
    }
}

fn is_missing(directory: &Path) -> bool {
    std::fs::symlink_metadata(directory).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Can the first process that needs it create this directory?
fn to_be_created(subject: &'static str, directory: &Path, variable: &str) -> Finding {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let above = absolute.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/"));
    let writable = above.is_dir() && rustix::fs::access(above, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if writable {
        Finding::ok(
            subject,
            format!("{} does not exist yet; the first process that needs it creates it", directory.display()),
        )
    } else {
        Finding::fail(
            subject,
            format!(
                "{} does not exist and cannot be created in {}. Make that writable, or set {variable}",
                directory.display(),
                above.display()
            ),
        )
    }
}

/// Is the scratch directory writable?
pub(super) fn scratch(directory: &Path) -> Finding {
    if is_missing(directory) {
        return to_be_created("scratch", directory, "BEDEL_SCRATCH_DIR");
    }
    match tempfile::tempfile_in(directory) {
        Ok(_) => Finding::ok("scratch", format!("{} is writable", directory.display())),
        Err(error) => Finding::fail(
            "scratch",
            format!("{}: {error}. Make it writable, or set BEDEL_SCRATCH_DIR", directory.display()),
        ),
    }
}

/// The engine, and the model of the embedded one.
pub(super) async fn speech(options: &SpeechOptions) -> Vec<Finding> {
    if options.engine == EngineChoice::None {
        return vec![Finding::warn(
            "engine",
            "BEDEL_ENGINE=none: transcribe jobs wait for a worker with an engine",
        )];
    }
    let mut findings = Vec::new();
    if options.engine == EngineChoice::Embedded {
        let options = options.clone();
        let looked = tokio::task::spawn_blocking(move || model(&options)).await;
        findings.push(looked.unwrap_or_else(|error| Finding::fail("model", error.to_string())));
    }
    findings.extend(engines(options).await);
    findings
}

fn model(options: &SpeechOptions) -> Finding {
    let looked = environment::model_dir(options).map_err(|error| error.to_string()).and_then(|directory| {
        // A model given by path has no recorded checksum.
        if Path::new(&options.model).is_file() {
            return models::resolve(&options.model, &directory)
                .map(|path| path.display().to_string())
                .map_err(|error| error.to_string());
        }
        models::verify(&directory, &options.model)
            .map(|model| format!("{} in {}, intact", model.name, model.path.display()))
            .map_err(|error| error.to_string())
    });
    match looked {
        Ok(text) => Finding::ok("model", text),
        Err(text) => Finding::fail("model", text),
    }
}

/// The first engine is the default, so it must answer. The others may be down.
async fn engines(options: &SpeechOptions) -> Vec<Finding> {
    let engines = match environment::engines(options, &MediaTools::by_name()) {
        Ok(engines) => engines,
        Err(text) => return vec![Finding::fail("engine", text)],
    };
    let mut findings = Vec::new();
    for (kind, engine) in engines.iter() {
        let info = engine.describe();
        findings.push(match engine.ping().await {
            Ok(()) => Finding::ok(
                "engine",
                format!("{}: {} with the model {}", kind.name(), info.engine, info.model),
            ),
            Err(error) if findings.is_empty() => Finding::fail("engine", format!("{}: {error}", kind.name())),
            Err(error) => Finding::warn("engine", format!("{}: {error}", kind.name())),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::finding::Level;
    use super::installation;

    #[test]
    fn a_storage_of_another_database_is_a_failure() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(installation(Some(a), Some((b, true))).level, Level::Fail);
        assert_eq!(installation(Some(a), Some((a, true))).level, Level::Ok);
        assert_eq!(installation(None, Some((a, false))).level, Level::Ok);
        assert_eq!(installation(None, Some((a, true))).level, Level::Fail);
        assert_eq!(installation(Some(a), None).level, Level::Ok);
    }
}
