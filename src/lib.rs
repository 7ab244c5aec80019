//! The program `bedel`: the HTTP API, the worker, the scheduler and the command line over `bedel-jobs` and
//! `bedel-queue`.
//!
//! What runs: [`serve`] (`bedel api`), [`worker`], [`scheduler`], and [`dev`], which runs all of them here.
//! What they share: [`config`], [`database`], [`environment`], [`process`], [`logging`], [`metrics`].

// What runs.
pub mod api;
pub mod cli;
pub mod dev;
pub mod migrate;
pub mod scheduler;
pub mod serve;
pub mod worker;

// What they share.
pub mod api_tokens;
pub mod config;
pub mod database;
pub mod environment;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod scratch;
