//! The HTTP API.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::secret::Secret;

/// The HTTP API.
#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "HTTP API",
    after_help = "In the environment or in .env alone, since a command line can be read by every user of the machine:\n  \
                  [env: BEDEL_TOKENS] who may call the API: token=user-uuid, or token=user-uuid:admin, separated by commas"
)]
pub struct ApiOptions {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "BEDEL_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// File that receives the address in use, for the process that started this one
    #[arg(long, env = "BEDEL_ADDRESS_FILE", hide = true)]
    pub address_file: Option<PathBuf>,

    /// Set where an earlier process of the same parent had this address, which becomes free again soon
    #[arg(long, env = "BEDEL_ADDRESS_IS_LEARNT", hide = true)]
    pub address_is_learnt: bool,
}

impl ApiOptions {
    /// The configured tokens, if there are any: those of `BEDEL_TOKENS`.
    #[must_use]
    pub fn tokens(&self) -> Option<Secret> {
        Secret::of_variable("BEDEL_TOKENS")
    }
}
