//! The floor of the start latency: one durable insert and one durable claim in one process, with nothing in
//! between. No queue that stores jobs before it starts them can be faster.

use std::time::Duration;

use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::contender::{Args, Contender};
use crate::error::{BenchError, Result};
use crate::peers::raw;

/// Its name in the tables.
pub const NAME: &str = "floor";

/// Nanoseconds of each of `jobs` inserts and claims, one every `pace`. The first `warmup` are dropped.
pub async fn latencies(url: &str, warmup: u64, jobs: u64, pace: Duration) -> Result<Vec<u64>> {
    raw::ONE.setup(url).await?;
    let mut producer = PgConnection::connect(url).await?;
    let mut worker = PgConnection::connect(url).await?;
    let mut ticks = tokio::time::interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut latencies = Vec::new();
    for number in 0..warmup + jobs {
        ticks.tick().await;
        let before = clock::now();
        sqlx::query("-- floor::insert\nINSERT INTO raw.jobs (args) VALUES ($1)")
            .bind(Json(Args { number }))
            .execute(&mut producer)
            .await?;
        let claimed: Option<(i64, Json<Args>)> = sqlx::query_as(
            "-- floor::claim
             UPDATE raw.jobs SET state = 1
              WHERE id = (SELECT id FROM raw.jobs WHERE state = 0 AND run_at <= now()
                           ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING id, args",
        )
        .fetch_optional(&mut worker)
        .await?;
        let after = clock::now();
        if claimed.is_none_or(|(_, Json(args))| args.number != number) {
            return Err(BenchError::Wrong { contender: NAME, what: "it claimed another job".to_owned() });
        }
        if number >= warmup {
            latencies.push(after - before);
        }
    }
    Ok(latencies)
}
