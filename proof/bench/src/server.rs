//! The PostgreSQL server of a run: full durability, and the same settings for every contender.

use bedel_test_support::Cluster;
use sqlx::Connection;

use crate::error::Result;

/// Changed settings. All else is PostgreSQL's default, with `fsync`, `synchronous_commit` and `full_page_writes` on.
pub const SETTINGS: [(&str, &str); 6] = [
    ("shared_buffers", "1GB"),
    ("effective_cache_size", "4GB"),
    ("random_page_cost", "1.1"),
    // Checkpoints run before measurements, never during one.
    ("max_wal_size", "32GB"),
    ("checkpoint_timeout", "1d"),
    // Counts queries in the databases of idle workers only.
    ("shared_preload_libraries", "pg_stat_statements"),
];

/// Makes and starts a server.
pub async fn start() -> Result<Cluster> {
    let cluster = Cluster::start(&SETTINGS).await?;
    let mut connection = cluster.admin().await?;
    for statement in [
        "-- server::start\nCREATE EXTENSION pg_stat_statements",
        "-- server::start\nALTER SYSTEM SET pg_stat_statements.track = 'none'",
        "-- server::start\nSELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(cluster)
}
