//! The program's integration tests: one binary, real HTTP, real PostgreSQL, real processes.

#![expect(clippy::unwrap_used, reason = "in a test a panic with its place is the message")]

mod adopt;
mod api;
mod cli;
mod cli_page;
// It reads /proc.
#[cfg(target_os = "linux")]
mod dev;
mod docs;
mod environment;
// It runs `bedel dev`.
#[cfg(target_os = "linux")]
mod extension;
mod openapi;
mod program;
// It runs `bedel dev`.
#[cfg(target_os = "linux")]
mod readme;
mod roles;
mod schema;
mod sql;
mod terminal;
#[cfg(feature = "whisper")]
mod transcribe;
// It runs `bedel dev`.
#[cfg(target_os = "linux")]
mod webhooks;
mod worker;
