//! What is known of an object without reading it.

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key. For an unfinished write: the key it was meant for.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Last write, by the storage's clock; compare it only with [`Storage::clock`](crate::Storage::clock).
    pub modified: DateTime<Utc>,
    /// Number of the staging file, for a write in flight or an interrupted one. Such an object does not exist under its key. Only
    /// local storage lists them; an object store drops them by its own rules.
    pub(crate) staged: Option<u64>,
}

impl StoredObject {
    /// True for a write in flight or an interrupted one.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        self.staged.is_some()
    }
}

impl From<ObjectMeta> for StoredObject {
    fn from(meta: ObjectMeta) -> Self {
        let key = meta.location.to_string();
        Self { key, size: meta.size, modified: meta.last_modified, staged: None }
    }
}

/// Size and entity tag of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub size: u64,
    /// Changes with the content; quoted, as in HTTP. `None` if the storage has none.
    pub etag: Option<String>,
}
