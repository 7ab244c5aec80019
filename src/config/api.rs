//! The HTTP API.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::api::{Limits, Origins};

/// The HTTP API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP API")]
pub struct ApiOptions {
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, env = "BEDEL_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Origins that may call the API from a browser, separated by commas: the web application, the browser
    /// extension, and each Panopto site on which it runs
    #[arg(
        long,
        env = "CORS_ALLOW_ORIGINS",
        default_value = "",
        hide_default_value = true,
        value_name = "https://HOST,…"
    )]
    pub cors_allow_origins: String,

    /// Largest audio upload, in MiB
    #[arg(long, env = "BEDEL_MAX_AUDIO_MIB", default_value_t = 100, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_audio_mib: u64,

    /// Largest document upload, in MiB
    #[arg(long, env = "BEDEL_MAX_DOCUMENT_MIB", default_value_t = 50, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_document_mib: u64,

    /// Submissions and uploads per user, minute and process, also the burst; a batch counts as ten; 0 means
    /// unlimited
    #[arg(long, env = "BEDEL_SUBMISSIONS_PER_MINUTE", default_value_t = 120, value_name = "N")]
    pub submissions_per_minute: u32,

    /// File to write the listening address to, for the parent process
    #[arg(long, env = "BEDEL_ADDRESS_FILE", hide = true)]
    pub address_file: Option<PathBuf>,

    /// The address was used by an earlier process of the same parent and will be free soon
    #[arg(long, env = "BEDEL_ADDRESS_IS_LEARNT", hide = true)]
    pub address_is_learnt: bool,
}

impl ApiOptions {
    /// Upload sizes and rate limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        const MIB: u64 = 1024 * 1024;
        Limits::new(self.max_audio_mib * MIB, self.max_document_mib * MIB, self.submissions_per_minute)
    }

    /// Origins that may call the API from a browser.
    ///
    /// # Errors
    /// If one is not an origin.
    pub fn origins(&self) -> Result<Origins, String> {
        self.cors_allow_origins.parse().map_err(|error| format!("CORS_ALLOW_ORIGINS: {error}"))
    }
}
