//! A private PostgreSQL server over installed binaries: for `bedel dev` and for tests.
//!
//! Nothing is downloaded. The crate finds `initdb` and `postgres` on the machine, makes a cluster once, and runs it on
//! a Unix socket in a directory that only its own user can enter: no TCP port, no password. Three rules shape the code:
//!
//! - **One owner.** A lock beside the data directory says who runs it. Whoever comes second attaches to the running
//!   server and never stops it; a server whose owner died is adopted.
//! - **No stray server.** A guard process reads a pipe from the owner. However the owner ends, the pipe closes and
//!   the guard stops the server.
//! - **Never as root.** PostgreSQL refuses that, so under root the server alone runs as another user.
//!
//! A production database is not this crate's business: there the URL is configured and nothing is started or stopped.

mod account;
mod binaries;
mod cluster;
mod error;
mod guard;
mod launch;
mod pidfile;
mod running;
mod server;
mod socket;
pub mod testing;
mod url;

pub use binaries::{find_binaries, major_version};
pub use error::PostgresError;
pub use server::{Durability, Server, ServerOptions, StopMode, attach};
