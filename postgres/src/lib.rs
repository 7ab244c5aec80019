//! A private PostgreSQL server over installed binaries: for `bedel dev` and for tests.
//!
//! The crate downloads nothing. It finds `initdb` and `postgres` on the machine, creates a cluster once, and
//! runs it on a Unix socket in a directory that only its own user can enter: no TCP port, no password.
//! Production does not use this crate: there the database URL is configured, and Bedel starts and stops no
//! server.
//!
//! # First program
//!
//! ```no_run
//! use bedel_postgres::{Durability, PostgresError, Server, ServerOptions, StopMode};
//!
//! # async fn run() -> Result<(), PostgresError> {
//! let server = Server::start(ServerOptions {
//!     data_dir: ".data/pg17".into(),
//!     durability: Durability::Full,
//!     binaries: None,
//!     stop_mode: StopMode::Fast,
//! })
//! .await?;
//! server.create_database("app").await?;
//! println!("psql '{}'", server.url("app"));
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! A test needs one call instead: [`testing::database`] creates a migrated database.
//!
//! # Rules
//!
//! - **One owner.** A lock file beside the data directory names the owner. A second process attaches to the
//!   running server as a guest and never stops it. A new owner adopts a server whose owner died.
//! - **No stray server.** A guard process reads a pipe from the owner. When the owner ends, even by `kill
//!   -9`, the pipe closes and the guard stops the server.
//! - **Never as root.** PostgreSQL refuses to run as root. Under root the server runs as another user.
//!
//! # Reading order
//!
//! `server` is the public handle. `launch` goes from a data directory to a running server; it uses `cluster`
//! (directory, lock, `initdb`), `account` (which user), `socket` (where the socket is), `guard` (the shell
//! script that stops a server without an owner) and `pidfile` (what `postmaster.pid` says). `running` stops
//! the server. `testing` builds on these.

mod account;
mod binaries;
mod cluster;
mod error;
mod guard;
mod launch;
mod options;
mod pidfile;
mod running;
mod server;
mod socket;
pub mod testing;
mod url;

pub use binaries::{find_binaries, major_version};
pub use error::PostgresError;
pub use options::{Durability, ServerOptions, StopMode};
pub use server::{Server, attach};
