//! The program `bedel`: the HTTP API, the worker, the scheduler and the command line over `bedel-jobs` and
//! `bedel-queue`.
//!
//! [`cli`] parses a command and calls [`run`], which builds a process from its [`config`]. [`api`] holds the
//! HTTP handlers, `ui` the pages, [`migrate`] the database schema.

pub mod api;
pub mod cli;
pub mod config;
pub mod error;
pub mod metrics;
pub mod migrate;
pub mod run;
mod ui;
