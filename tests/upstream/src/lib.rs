//! An upstream that misbehaves on demand: Panopto and its CDN, played by a real HTTP/1.1 server on loopback, written on
//! bare sockets so that it can break off, fall silent, drip, and announce what it does not send.
//!
//! A path answers in one of two ways: by a script of [`Reply`]s, of which each request takes the next one and the last one
//! stays ([`Upstream::on`]); or as a file with ranges, a [`Resource`] whose [`Fault`]s go by the number of the request
//! ([`Upstream::serve`]).
//!
//! For tests and the demo only. What goes wrong in here (no port, no ffmpeg) panics with a reason.

mod canary;
mod delivery;
pub mod delivery_info;
pub mod hls;
mod ledger;
pub mod media;
mod reply;
mod request;
mod resource;
mod server;
mod tls;

pub use canary::Canary;
pub use reply::Reply;
pub use request::Request;
pub use resource::{Fault, Resource};
pub use server::Upstream;
