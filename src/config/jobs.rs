//! Settings of the jobs.

use std::path::PathBuf;
use std::time::Duration;

use bedel_fetch::{Exception, FetchPolicy, ProxyChoice, ProxyUrl};
use bedel_jobs::Settings;
use bedel_recordings::catalogue::CatalogueSettings;
use bedel_recordings::panopto::hosts::FETCH_HOSTS;
use clap::Args;

use super::parse;

/// Settings of the jobs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Jobs")]
pub struct JobOptions {
    /// Panopto hosts besides its own domains, separated by commas
    #[arg(
        long,
        env = "PANOPTO_TENANTS",
        value_delimiter = ',',
        value_name = "HOST,…",
        default_value = "",
        hide_default_value = true
    )]
    panopto_tenants: Vec<String>,

    /// Hosts to fetch recordings from, besides Panopto's own, its CDN's and the tenants, separated by commas;
    /// a leading dot includes subdomains
    #[arg(
        long,
        env = "BEDEL_FETCH_HOSTS",
        value_delimiter = ',',
        value_name = "HOST,…",
        default_value = "",
        hide_default_value = true
    )]
    fetch_hosts: Vec<String>,

    /// Proxy for all fetches of jobs; HTTP_PROXY and similar variables are ignored
    #[arg(long, env = "BEDEL_FETCH_PROXY", value_name = "URL", hide_env_values = true)]
    fetch_proxy: Option<String>,

    /// File of additional trusted CA certificates (PEM)
    #[arg(long, env = "BEDEL_FETCH_CA_FILE", value_name = "FILE")]
    fetch_ca_file: Option<PathBuf>,

    /// Private or loopback addresses that may be fetched, as host:port separated by commas; for development
    #[arg(
        long,
        env = "BEDEL_ALLOWED_PRIVATE_HOSTS",
        value_delimiter = ',',
        value_name = "HOST:PORT,…",
        default_value = "",
        hide_default_value = true
    )]
    allowed_private_hosts: Vec<String>,

    /// Receivers of webhooks besides public https addresses, separated by commas: a host, host:port, an address or a
    /// network such as 10.2.0.0/16
    #[arg(
        long,
        env = "BEDEL_WEBHOOK_ALLOW",
        value_delimiter = ',',
        value_name = "HOST|NETWORK,…",
        default_value = "",
        hide_default_value = true
    )]
    webhook_allow: Vec<String>,

    /// Largest recording to fetch, in MiB
    #[arg(long, env = "BEDEL_MAX_SOURCE_MIB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(1..=1_048_576), value_name = "MIB")]
    max_source_mib: u64,

    /// Disk space per host for running and interrupted downloads, in MiB
    #[arg(long, env = "BEDEL_MAX_DOWNLOADS_MIB", default_value_t = 32768, value_parser = clap::value_parser!(u64).range(1..=104_857_600), value_name = "MIB")]
    max_downloads_mib: u64,

    /// Seconds without data after which a download is stalled
    #[arg(long, env = "BEDEL_STALL_SECONDS", default_value = "60", value_parser = parse::seconds, value_name = "SECONDS")]
    stall_seconds: Duration,

    /// Seconds after which a job stops waiting and retrying [default: 24 hours]
    #[arg(long, env = "GIVE_UP_AFTER_SECONDS", value_parser = parse::seconds, value_name = "SECONDS")]
    give_up_after_seconds: Option<Duration>,

    /// Days to keep the audio of a failed lecture for a cheap retry; 0 deletes it at once
    #[arg(long, env = "KEEP_FAILED_AUDIO_DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=3650), value_name = "DAYS")]
    keep_failed_audio_days: u32,

    /// URL of the course catalogue (CDCS), without a query
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

    /// Store the catalogue's instructors
    #[arg(long, env = "CDCS_SYNC_INSTRUCTORS", value_parser = parse::switch, default_value = "false", num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    cdcs_sync_instructors: bool,
}

impl JobOptions {
    /// The settings in the form that the jobs use.
    ///
    /// # Errors
    /// If a value is invalid. The text names the variable and what to write.
    pub fn settings(&self) -> Result<Settings, String> {
        if !matches!(self.cdcs_url.scheme(), "http" | "https") {
            return Err("CDCS_URL: write an http or https URL".to_owned());
        }
        let tenants = parse_each("PANOPTO_TENANTS", &self.panopto_tenants, parse::host)?;
        let mut hosts = parse_each("BEDEL_FETCH_HOSTS", &self.fetch_hosts, parse::host)?;
        hosts.extend(FETCH_HOSTS.map(str::to_owned));
        hosts.extend(tenants.iter().cloned());
        hosts.extend(host_of(&self.cdcs_url));
        let allowed_private =
            parse_each("BEDEL_ALLOWED_PRIVATE_HOSTS", &self.allowed_private_hosts, parse::host_and_port)?;
        let exceptions = parse_each("BEDEL_WEBHOOK_ALLOW", &self.webhook_allow, |part| {
            part.parse::<Exception>().map_err(|error| error.to_string())
        })?;
        let (proxy, extra_ca) =
            (self.proxy()?, parse::pem("BEDEL_FETCH_CA_FILE", self.fetch_ca_file.as_deref())?);
        Ok(Settings {
            tenants,
            webhooks: FetchPolicy {
                proxy: proxy.clone(),
                extra_ca: extra_ca.clone(),
                ..FetchPolicy::public(exceptions)
            },
            fetch: FetchPolicy {
                proxy,
                extra_ca,
                max_bytes: self.max_source_mib * 1024 * 1024,
                stall_timeout: self.stall_seconds,
                ..FetchPolicy::listed(hosts, allowed_private)
            },
            catalogue: CatalogueSettings {
                url: self.cdcs_url.to_string(),
                terms: non_empty(&self.cdcs_terms).map(str::to_owned).collect(),
                sync_instructors: self.cdcs_sync_instructors,
            },
            max_download_bytes: self.max_downloads_mib * 1024 * 1024,
            keep_failed_audio_days: self.keep_failed_audio_days,
            give_up_after: self.give_up_after_seconds,
        })
    }
}

impl JobOptions {
    fn proxy(&self) -> Result<ProxyChoice, String> {
        let Some(text) = self.fetch_proxy.as_deref().map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(ProxyChoice::Direct);
        };
        let advice = || "BEDEL_FETCH_PROXY: write a URL such as http://proxy.example.edu:3128".to_owned();
        let url = url::Url::parse(text).map_err(|_| advice())?;
        let good = matches!(url.scheme(), "http" | "https") && url.has_host();
        if good { Ok(ProxyChoice::Url(ProxyUrl(url))) } else { Err(advice()) }
    }
}

/// The host of a URL, as [`FetchPolicy::listed`] takes it.
fn host_of(url: &url::Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Non-empty parts: an empty variable is an empty list.
fn non_empty(parts: &[String]) -> impl Iterator<Item = &str> {
    parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty())
}

fn parse_each<T>(
    variable: &str,
    parts: &[String],
    parse: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    non_empty(parts)
        .map(|part| parse(part).map_err(|remedy| format!("{variable}: {part:?}: {remedy}")))
        .collect()
}
