//! Test kit for everything that talks to PostgreSQL: tests, the fault suite and the benchmark.
//!
//! - [`Cluster`]: a private server with full durability that can be restarted and killed.
//! - [`PgProxy`]: a socket between a worker and the server. It holds the worker at a statement, loses an answer, drops
//!   notifications, or cuts every connection.
//! - [`named_statements`]: the SQL in a folder's Rust files.
//!
//! Databases of single tests come from `bedel_postgres::testing`. The crate knows neither the queue nor the jobs, apart from the
//! names of their SQL statements, so both may use it in their tests.

mod cluster;
mod pg_proxy;
mod statements;

pub use cluster::{Cluster, ClusterError, Shutdown};
pub use pg_proxy::{Hold, LostAnswer, Moment, PgProxy, Statement};
pub use statements::named_statements;
