//! What the jobs go by.

use std::time::Duration;

use bedel_jobs::Settings;
use bedel_jobs::catalogue::CatalogueSettings;
use bedel_jobs::fetch::FetchSettings;
use clap::Args;

use super::parse;

/// What the jobs go by.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Jobs")]
pub struct JobOptions {
    /// Hosts of Panopto besides its own domains, separated by commas
    #[arg(
        long,
        env = "PANOPTO_TENANTS",
        value_delimiter = ',',
        value_name = "HOST,…",
        default_value = "",
        hide_default_value = true
    )]
    panopto_tenants: Vec<String>,

    /// Sources that may be at a private or loopback address, as host:port separated by commas; for development
    #[arg(
        long,
        env = "BEDEL_ALLOWED_PRIVATE_HOSTS",
        value_delimiter = ',',
        value_name = "HOST:PORT,…",
        default_value = "",
        hide_default_value = true
    )]
    allowed_private_hosts: Vec<String>,

    /// Largest recording that is fetched, in MiB
    #[arg(long, env = "BEDEL_MAX_SOURCE_MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1_048_576), value_name = "MIB")]
    max_source_mib: u64,

    /// Seconds without a byte after which a download has stalled
    #[arg(long, env = "BEDEL_STALL_SECONDS", default_value = "60", value_parser = parse::seconds, value_name = "SECONDS")]
    stall_seconds: Duration,

    /// Seconds after which a job stops waiting and retrying [default: 24 hours]
    #[arg(long, env = "GIVE_UP_AFTER_SECONDS", value_parser = parse::seconds, value_name = "SECONDS")]
    give_up_after_seconds: Option<Duration>,

    /// Days that a failed lecture keeps its audio, so that a retry need not fetch it again; 0 deletes it at once
    #[arg(long, env = "KEEP_FAILED_AUDIO_DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3650), value_name = "DAYS")]
    keep_failed_audio_days: u32,

    /// The course catalogue (CDCS), without a query
    #[arg(
        long,
        env = "CDCS_URL",
        default_value = "https://cdcs.ur.rochester.edu/XMLQuery.aspx",
        value_name = "URL"
    )]
    cdcs_url: url::Url,

    /// Terms to read, such as Fall 2026, separated by commas [default: the current term and the next]
    #[arg(
        long,
        env = "CDCS_TERMS",
        value_delimiter = ',',
        value_name = "TERM,…",
        default_value = "",
        hide_default_value = true
    )]
    cdcs_terms: Vec<String>,

    /// Whether the catalogue's instructors are stored too
    #[arg(long, env = "CDCS_SYNC_INSTRUCTORS", value_parser = parse::switch, default_value = "false", num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    cdcs_sync_instructors: bool,
}

impl JobOptions {
    /// The settings in the jobs' own form.
    ///
    /// # Errors
    /// A sentence that names the variable and says what to write.
    pub fn settings(&self) -> Result<Settings, String> {
        if !matches!(self.cdcs_url.scheme(), "http" | "https") {
            return Err("CDCS_URL: write an http or https URL".to_owned());
        }
        Ok(Settings {
            tenants: each("PANOPTO_TENANTS", &self.panopto_tenants, parse::host)?,
            fetch: FetchSettings {
                allowed_private: each(
                    "BEDEL_ALLOWED_PRIVATE_HOSTS",
                    &self.allowed_private_hosts,
                    parse::host_and_port,
                )?,
                max_bytes: self.max_source_mib * 1024 * 1024,
                stall_timeout: self.stall_seconds,
            },
            catalogue: CatalogueSettings {
                url: self.cdcs_url.to_string(),
                terms: filled(&self.cdcs_terms).map(str::to_owned).collect(),
                sync_instructors: self.cdcs_sync_instructors,
            },
            keep_failed_audio_days: self.keep_failed_audio_days,
            give_up_after: self.give_up_after_seconds,
        })
    }
}

/// The parts of a list that are not empty: a variable set to nothing is an empty list.
fn filled(parts: &[String]) -> impl Iterator<Item = &str> {
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty())
}

fn each(
    variable: &str,
    parts: &[String],
    parse: fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, String> {
    filled(parts)
        .map(|part| parse(part).map_err(|remedy| format!("{variable}: {part:?}: {remedy}")))
        .collect()
}
