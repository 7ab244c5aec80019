//! The upstream behaves as documented, seen by an ordinary client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod canary;
mod client;
mod faults;
mod hls;
mod playlists;
mod ranges;
mod server;
mod tls;
