//! The context of all jobs, built once per process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bedel_fetch::{FetchPolicy, Fetcher};
use bedel_media::MediaTools;
use bedel_recordings::catalogue::CatalogueSettings;
use bedel_speech::Engines;
use bedel_storage::Storage;
use sqlx::PgPool;

/// The context that every job gets.
pub type Context = Arc<Environment>;

/// Connections, directories, tools and settings of the jobs.
#[derive(Debug)]
pub struct Environment {
    /// The database.
    pub pool: PgPool,
    /// Stored audio, transcripts, documents and temporary objects.
    pub storage: Storage,
    /// This process's local directory for work in progress: one sub-directory per lease, emptied at start.
    pub scratch: PathBuf,
    /// Local directory for downloads, shared by all processes of this host. Downloads outlive their attempts.
    pub downloads: PathBuf,
    /// Outgoing HTTP.
    pub fetcher: Fetcher,
    /// Outgoing HTTP to the receivers of webhooks.
    pub webhook_fetcher: Fetcher,
    /// ffmpeg and ffprobe.
    pub media: MediaTools,
    /// The speech engines; `None` if this process has none. Other processes transcribe then.
    pub engines: Option<Engines>,
    /// Settings of the jobs.
    pub settings: Settings,
}

/// Settings of the jobs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tenant hosts accepted besides Panopto's own domains, e.g. `panopto.imperial.ac.uk` or `127.0.0.1:8999`.
    pub tenants: Vec<String>,
    /// Rules and limits of outgoing HTTP.
    pub fetch: FetchPolicy,
    /// Rules of outgoing HTTP to the receivers of webhooks.
    pub webhooks: FetchPolicy,
    /// The course catalogue.
    pub catalogue: CatalogueSettings,
    /// Disk space for running and interrupted downloads, in bytes per host.
    pub max_download_bytes: u64,
    /// Days a failed lecture keeps its audio for a cheap retry; 0 deletes it at once.
    pub keep_failed_audio_days: u32,
    /// Overrides the time after which a stage stops waiting and retrying (24 hours by each kind's policy).
    pub give_up_after: Option<Duration>,
}
