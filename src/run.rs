//! The long-running processes: `bedel api`, `worker`, `scheduler` and `dev`, and what they share.

pub mod api;
pub mod dev;
pub mod scheduler;
pub mod worker;

// Shared with the commands.
pub mod backoff;
pub mod database;
mod database_url;
pub mod environment;
mod grants;
pub mod logging;
pub mod process;
pub mod scratch;
