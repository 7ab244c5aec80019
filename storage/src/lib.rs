//! Stored files under logical keys: audio, transcripts, documents and temporary objects.
//!
//! ```no_run
//! use bedel_storage::{Storage, keys};
//! # async fn example(lecture_id: uuid::Uuid) -> Result<(), bedel_storage::StorageError> {
//! let storage = Storage::local("data/storage".as_ref())?;
//! storage.put_file(&keys::audio(lecture_id), "lecture.m4a".as_ref()).await?;
//! for object in storage.list("audio").await? {
//!     println!("{} has {} bytes", object.key, object.size);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A key is relative, `/`-separated, and safe as an object key and as a file name. A write appears under its key completely or
//! not at all, and only once it survives a power cut: on local disk, the file and its directories are synced first.
//! object_store's local store stages a write as `key#N`, syncs, renames, and, with `with_fsync`, syncs the directory.
//!
//! Never call this crate while a database transaction is open.
//!
//! # Reading order
//!
//! 1. [`keys`]: all keys, and how to parse them.
//! 2. `storage`: the operations of [`Storage`] on whole objects; `stream`: the ones in parts.
//! 3. `installation`: the mark that ties a storage to its database.
//! 4. `object`: what a listing says of an object; `local`: directories on this host; `error`: [`StorageError`], and what it
//!    means for a job.

mod error;
mod installation;
pub mod keys;
mod local;
mod object;
mod storage;
mod stream;
#[cfg(test)]
mod tests;

pub use error::StorageError;
pub use local::create_private_dir;
pub use object::{ObjectInfo, StoredObject};
pub use storage::Storage;
pub use stream::Writer;
