//! Queries of an idle worker, counted by pg_stat_statements in its database only. All statements count, even
//! BEGIN and COMMIT.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::bench::Bench;
use crate::contender::Contender;
use crate::error::Result;
use crate::measure::{Values, value};
use crate::worker::{Start, WorkerProcess};

/// Time for a worker to finish its start.
const SETTLE: Duration = Duration::from_secs(5);

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender) -> Result<Values> {
    let name = format!("idle_{}", contender.name());
    bench.cluster.create(&name).await?;
    bench.cluster.run(format!("ALTER DATABASE \"{name}\" SET pg_stat_statements.track = 'top'")).await?;
    let outcome = watch(bench, contender, &name).await;
    bench.cluster.drop(&name).await?;
    outcome
}

async fn watch(bench: &Bench<'_>, contender: &dyn Contender, name: &str) -> Result<Values> {
    let url = bench.cluster.url(name);
    contender.setup(&url).await?;
    let start = Start {
        contender: contender.name(),
        url: &url,
        tuning: bench.tuning,
        target: 0,
        fail_once: false,
        paced: true,
    };
    let mut worker = WorkerProcess::start(&start).await?;
    worker.go().await?;
    tokio::time::sleep(SETTLE).await;
    let mut admin = bench.cluster.admin().await?;
    let before = calls(&mut admin, name).await?;
    tokio::time::sleep(Duration::from_secs(bench.sizes.idle_seconds)).await;
    let after = calls(&mut admin, name).await?;
    admin.close().await?;
    worker.stop().await?;
    Ok(value("queries_per_second", (after - before) as f64 / bench.sizes.idle_seconds as f64))
}

async fn calls(admin: &mut PgConnection, database: &str) -> Result<i64> {
    let calls = sqlx::query_scalar(
        "-- idle::calls
         SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
          WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1)",
    );
    Ok(calls.bind(database).fetch_one(admin).await?)
}
