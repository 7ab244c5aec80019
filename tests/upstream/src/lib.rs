//! A faulty upstream for tests and the demo: Panopto and its CDN as a real HTTP/1.1 server on loopback. It
//! runs on bare sockets, so it can cut a body short, stall, drip, and announce bytes that it does not send.
//!
//! # First program
//!
//! ```no_run
//! use bedel_upstream::{Fault, Reply, Resource, Upstream};
//!
//! # async fn run() {
//! let upstream = Upstream::start().await;
//! // A file that is cut twice, then served whole, with ranges and an ETag.
//! upstream.serve("/lecture.mp4", Resource::new(vec![7; 100_000]).first(2, Fault::CutAt(50_000)));
//! // A script: throttle the first request, answer all later ones.
//! upstream.on("/info", [Reply::too_many_requests("1"), Reply::json("{}")]);
//! println!("GET {}", upstream.url("/lecture.mp4"));
//! upstream.wait_for_requests("/lecture.mp4", 3).await;
//! assert_eq!(upstream.abort_count("/lecture.mp4"), 2);
//! # }
//! ```
//!
//! # How a path answers
//!
//! - [`Upstream::on`]: a script of [`Reply`]s. Each request takes the next reply; the last one stays.
//! - [`Upstream::serve`]: a file with ranges, a [`Resource`]. Its [`Fault`]s apply by the number of the
//!   request.
//! - [`Upstream::serve_hls`]: an HLS stream that ffmpeg generates ([`hls`]).
//!
//! Failures in here (no free port, no ffmpeg) panic with the reason.
//!
//! # Reading order
//!
//! `server` accepts connections and picks each reply. `request` parses, `reply` describes an answer,
//! `delivery` sends it, `traffic` records requests and bytes. `resource` (with `fault` and `range`) turns a
//! file into replies. `hls` and [`media`] generate streams whose every second has its own tone, so a test can
//! tell which seconds survived. [`delivery_info`] holds Panopto's answers. [`Canary`] detects contacts with
//! addresses that a client must avoid.

mod canary;
mod delivery;
pub mod delivery_info;
pub mod hls;
pub mod media;
mod reply;
mod request;
mod resource;
mod server;
mod tls;
mod traffic;
mod transport;

pub use canary::Canary;
pub use reply::Reply;
pub use request::Request;
pub use resource::{Fault, Resource};
pub use server::Upstream;
