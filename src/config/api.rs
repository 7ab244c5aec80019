//! The HTTP API.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::api::{Limits, Origins};

/// The HTTP API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP API")]
pub struct ApiOptions {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "BEDEL_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Origins whose pages may ask from a browser, separated by commas: the web application, the browser extension, and each
    /// Panopto site on which it runs
    #[arg(
        long,
        env = "CORS_ALLOW_ORIGINS",
        default_value = "",
        hide_default_value = true,
        value_name = "https://HOST,…"
    )]
    pub cors_allow_origins: String,

    /// Largest recording that can be uploaded, in MiB
    #[arg(long, env = "BEDEL_MAX_AUDIO_MIB", default_value_t = 100, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_audio_mib: u64,

    /// Largest document that can be uploaded, in MiB
    #[arg(long, env = "BEDEL_MAX_DOCUMENT_MIB", default_value_t = 50, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_document_mib: u64,

    /// Submissions and uploads that a user may send in a minute, and at once, to each process; a batch counts as ten; 0 for
    /// any number
    #[arg(long, env = "BEDEL_SUBMISSIONS_PER_MINUTE", default_value_t = 120, value_name = "N")]
    pub submissions_per_minute: u32,

    /// File that receives the address in use, for the process that started this one
    #[arg(long, env = "BEDEL_ADDRESS_FILE", hide = true)]
    pub address_file: Option<PathBuf>,

    /// Set where an earlier process of the same parent had this address, which becomes free again soon
    #[arg(long, env = "BEDEL_ADDRESS_IS_LEARNT", hide = true)]
    pub address_is_learnt: bool,
}

impl ApiOptions {
    /// How much is accepted, and how often.
    #[must_use]
    pub fn limits(&self) -> Limits {
        const MIB: u64 = 1024 * 1024;
        Limits::new(self.max_audio_mib * MIB, self.max_document_mib * MIB, self.submissions_per_minute)
    }

    /// Whose pages may ask from a browser.
    ///
    /// # Errors
    /// Where one is no origin, in words.
    pub fn origins(&self) -> Result<Origins, String> {
        self.cors_allow_origins.parse().map_err(|error| format!("CORS_ALLOW_ORIGINS: {error}"))
    }
}
