//! Errors of stored files, and what they mean for a job.

use std::error::Error;
use std::io;

use bedel_queue::JobError;

/// An error of a stored file. The text names a logical key and the operating system's reason, no path.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The key is not valid.
    #[error("`{key}` is not a valid storage key")]
    InvalidKey {
        /// The refused key.
        key: String,
    },
    /// There is no object under the key.
    #[error("the stored file {key} is missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// The object is larger than the reader accepts.
    #[error("the stored file {key} has {size} bytes, more than the {max} that are accepted here")]
    TooLarge {
        /// The key.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// No space is left, or a quota is exhausted.
    #[error("no space is left for {key}")]
    DiskFull {
        /// The key.
        key: String,
    },
    /// The storage belongs to another database.
    #[error("this storage belongs to another installation ({found}); the database's is {expected}")]
    WrongInstallation {
        /// The id in the storage.
        found: String,
        /// The database's id.
        expected: uuid::Uuid,
    },
    /// The database is tied to a storage, and this one has no mark.
    #[error("this storage is not marked, and the database ({expected}) is tied to another one already")]
    NotMarked {
        /// The database's id.
        expected: uuid::Uuid,
    },
    /// Any other failure.
    #[error("the storage failed at {key}: {reason}")]
    Io {
        /// The key.
        key: String,
        /// The operating system's or the store's reason.
        reason: String,
    },
}

impl StorageError {
    pub(super) fn io(key: &str, source: io::Error) -> Self {
        let key = key.to_owned();
        match source.kind() {
            _ if JobError::is_disk_full(&source) => Self::DiskFull { key },
            // The inner error may name a path; its kind does not.
            kind => Self::Io { key, reason: kind.to_string() },
        }
    }

    pub(super) fn from_store(key: &str, source: object_store::Error) -> Self {
        if let object_store::Error::NotFound { .. } = source {
            return Self::Missing { key: key.to_owned() };
        }
        let mut cause: Option<&(dyn Error + 'static)> = Some(&source);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Self::io(key, io::Error::from(error.kind()));
            }
            cause = error.source();
        }
        tracing::warn!(error = %source, key, "the storage failed");
        Self::Io { key: key.to_owned(), reason: "see the worker's log".to_owned() }
    }
}

/// The student gets a sentence and a remedy. The key and the reason go to the log.
impl From<StorageError> for JobError {
    fn from(error: StorageError) -> Self {
        tracing::warn!(%error, "a job could not use the storage");
        match error {
            StorageError::Io { .. } => Self::retry(
                "storage",
                "The recording's files could not be stored or read on the server. If this lecture ends as failed, use \
                 retry later, and tell the operators if it stays.",
            ),
            StorageError::DiskFull { .. } => JobError::disk_full(),
            // A missing object does not come back. A caller with a better remedy overrides this.
            StorageError::Missing { .. } => Self::fatal(
                "storage-missing",
                "A stored file of this lecture is gone. Use retry to bring it in again, and tell the operators if it \
                 stays.",
            ),
            StorageError::InvalidKey { .. } => Self::fatal(
                "storage-key",
                "A file of this lecture cannot be stored under its name. Tell the operators; retry helps only after \
                 they have.",
            ),
            StorageError::TooLarge { .. } => Self::fatal(
                "storage-too-large",
                "A stored file of this lecture is larger than can be read here. Tell the operators; retry helps only \
                 after they have.",
            ),
            StorageError::WrongInstallation { .. } | StorageError::NotMarked { .. } => Self::fatal(
                "wrong-storage",
                "The server works with the storage of another installation. Tell the operators, and use retry once \
                 they have corrected it.",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// The student gets a class, a sentence and a remedy, but no key and no reason of the operating system.
    #[test]
    fn a_jobs_error_shows_no_key() {
        let key = || "audio/secret-key".to_owned();
        let found = || "secret-installation".to_owned();
        let table = [
            (StorageError::InvalidKey { key: key() }, "storage-key", "fatal"),
            (StorageError::Missing { key: key() }, "storage-missing", "fatal"),
            (StorageError::TooLarge { key: key(), size: 2, max: 1 }, "storage-too-large", "fatal"),
            (StorageError::DiskFull { key: key() }, "disk-full", "wait"),
            (
                StorageError::WrongInstallation { found: found(), expected: Uuid::nil() },
                "wrong-storage",
                "fatal",
            ),
            (StorageError::NotMarked { expected: Uuid::nil() }, "wrong-storage", "fatal"),
            (StorageError::Io { key: key(), reason: "secret reason".into() }, "storage", "retry"),
        ];
        for (error, class, decision) in table {
            let job = JobError::from(error);
            let decided = match (job.is_fatal(), job.wait_delay()) {
                (true, _) => "fatal",
                (_, Some(JobError::HOST_FAULT_PAUSE)) => "wait",
                _ => "retry",
            };
            let text = job.to_string();
            assert_eq!((job.class(), decided), (class, decision), "{text}");
            assert!(!text.contains("secret") && !text.contains(&Uuid::nil().to_string()), "{text}");
            assert!(text.contains("retry") && text.contains("operators"), "{text}");
        }
    }
}
