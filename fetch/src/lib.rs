//! Guarded outgoing HTTP: one client, one resumable download, and a policy that says which addresses may be asked.
//!
//! ```no_run
//! use bedel_fetch::{FetchPolicy, Fetcher};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // The process installs a rustls provider first.
//! let policy = FetchPolicy::listed(vec![".panopto.com".to_owned()], Vec::new());
//! let fetcher = Fetcher::new(policy)?;
//! let url = "https://demo.hosted.panopto.com/robots.txt".parse()?;
//! let body = fetcher.get_bytes(&url, 64 * 1024, std::time::Duration::from_secs(10)).await?;
//! println!("{} bytes from {}", body.bytes.len(), body.url);
//! # Ok(())
//! # }
//! ```
//!
//! Pick a policy, then a call:
//!
//! | policy | addresses | used for |
//! |---|---|---|
//! | [`FetchPolicy::listed`] | public https addresses of listed hosts | recordings, Panopto, the course catalogue |
//! | [`FetchPolicy::public`] | public https addresses, and the operator's exceptions | receivers of webhooks |
//! | [`FetchPolicy::operator`] | any http or https address | speech servers, model files, the keys of an identity provider |
//!
//! | call | for |
//! |---|---|
//! | [`Fetcher::get_bytes`], [`Fetcher::post_form`] | small bodies, in memory |
//! | [`Fetcher::post`] | a POST whose answer is its status |
//! | [`Fetcher::download_media`] | a media file that resumes, or a playlist |
//! | [`Fetcher::download`] | any file that resumes |
//! | [`Fetcher::download_once`] | a segment, or a range of one |
//! | [`Fetcher::request`] | an upload: the caller builds and sends the request |
//!
//! # Reading order
//!
//! 1. `policy`: which addresses may be asked, and the limits.
//! 2. `rules` checks a URL (scheme, credentials, host, literal addresses) before a connection, at each redirect, and for each
//!    URL inside a playlist. `resolver` checks what a name resolves to inside the connector, so the checked address is the
//!    one that is dialled. Both ask the table in [`address`].
//! 3. `client` sends requests and turns a status into a typed [`FetchError`]. `decision` turns that error into a job's.
//! 4. `transfer` resumes a download in a [`PartFile`], and [`body`] says what its first bytes are. `once` downloads a segment,
//!    `small` reads into memory, `post` reads nothing but a status. `whole` decides about a file whose server announced a wrong length.
//!
//! A listed policy ignores the proxy settings of the environment: a proxy resolves names behind the checks' back. Where one is
//! configured, the proxy has to keep requests out of private networks.
//!
//! The HTTP library adds its own limits: at most 100 header fields and 400 kB of them.

pub mod address;
pub mod body;
mod client;
mod decision;
mod error;
mod exception;
mod network;
mod once;
mod part_file;
mod policy;
mod post;
mod resolver;
pub mod retry_after;
mod rules;
mod small;
mod stream;
mod transfer;
mod validator;
mod whole;

pub use client::{CONNECT_TIMEOUT, Fetcher};
pub use error::{FetchError, require_media};
pub use exception::{Exception, NotAnException};
pub use network::{Network, NotANetwork};
pub use once::ByteRange;
pub use part_file::PartFile;
pub use policy::{FetchPolicy, ProxyChoice, ProxyUrl, Targets};
pub use post::PostAnswer;
pub use resolver::{Lookup, SystemLookup};
pub use rules::{UrlRefusal, host, without_query};
pub use small::SmallBody;
pub use transfer::{MAX_PLAYLIST_BYTES, MediaDownload, RESUME_PAUSE};
