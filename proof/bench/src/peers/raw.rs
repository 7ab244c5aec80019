//! The limit: a narrow table and the two statements that every queue with kept rows needs. It has no
//! heartbeat, no lease, no history and no unique keys, and it polls.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::types::Json;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::task::JoinSet;

use crate::contender::{Args, Contender, Done, Fill, Producer, Tables, Tuning, Work};
use crate::error::{Result, peer};
use crate::measure::Measure;

/// Pause of a loop that found no job.
const POLL: Duration = Duration::from_millis(5);

/// Number of loops. Each claims, runs and completes in turn on two connections.
pub struct Raw {
    name: &'static str,
    lanes: u32,
}

/// One loop: the limit for claiming and completing in turn.
pub const ONE: Raw = Raw { name: "raw", lanes: 1 };

/// Two loops: all that two cores give, with nothing left for the jobs.
pub const TWO: Raw = Raw { name: "raw-2", lanes: 2 };

#[async_trait]
impl Contender for Raw {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> &'static str {
        "-"
    }

    fn settings(&self, tuning: &Tuning) -> String {
        format!(
            "{} lanes: claim {} over a connection with asynchronous commit, run them, complete them by one durable \
             update over another",
            tuning.get("lanes", self.lanes.into()),
            tuning.get("batch", BATCH.into()),
        )
    }

    fn takes_part(&self, measure: Measure) -> bool {
        !matches!(measure, Measure::Latency | Measure::Idle)
    }

    fn tables(&self) -> Tables {
        Tables {
            schema: "raw",
            mark: "-- raw::mark\nSELECT coalesce(max(id), 0)::text FROM raw.jobs",
            waiting: "-- raw::waiting\nSELECT count(*) FROM raw.jobs WHERE id > $1::bigint AND state = 0",
            done: Done::Kept(
                "-- raw::done\nSELECT count(*) FROM raw.jobs WHERE id > $1::bigint AND state = 2",
            ),
            fill: Fill::Sql(
                "-- raw::fill
                 INSERT INTO raw.jobs (state, args)
                 SELECT 2, jsonb_build_object('number', n) FROM generate_series(1, $1) AS n",
            ),
        }
    }

    async fn setup(&self, url: &str) -> Result<()> {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::raw_sql(
            "-- raw::setup
             CREATE SCHEMA raw;
             CREATE TABLE raw.jobs (
                 id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                 run_at timestamptz NOT NULL DEFAULT now(),
                 state  smallint NOT NULL DEFAULT 0,  -- 0 available, 1 running, 2 completed
                 args   jsonb NOT NULL
             );
             CREATE INDEX jobs_claim ON raw.jobs (run_at) WHERE state = 0",
        )
        .execute(&mut connection)
        .await?;
        Ok(connection.close().await?)
    }

    async fn producer(&self, url: &str, _: &Tuning) -> Result<Box<dyn Producer>> {
        Ok(Box::new(RawProducer { connection: PgConnection::connect(url).await? }))
    }

    async fn work(&self, work: Work) -> Result<()> {
        let lanes = work.tuning.count("lanes", self.lanes);
        let batch = i64::try_from(work.tuning.get("batch", BATCH.into())).map_err(peer)?;
        let durable: PgConnectOptions = work.url.parse()?;
        // A claim that is lost with the server harms nothing.
        let lax = durable.clone().options([("synchronous_commit", "off")]);
        let mut connections = Vec::new();
        for _ in 0..lanes {
            connections.push((lax.connect().await?, durable.connect().await?));
        }
        work.gate.pass().await;
        let mut running = JoinSet::new();
        for (mut claims, mut updates) in connections {
            let (probe, stop) = (work.probe.clone(), work.stop.clone());
            running.spawn(async move {
                while !stop.is_cancelled() {
                    let claimed = claim(&mut claims, batch).await?;
                    if claimed.is_empty() {
                        tokio::time::sleep(POLL).await;
                        continue;
                    }
                    let (mut done, mut failed) = (Vec::with_capacity(claimed.len()), Vec::new());
                    for (id, Json(args)) in claimed {
                        match probe.run(args.number) {
                            Ok(()) => done.push(id),
                            Err(_) => failed.push(id),
                        }
                    }
                    settle(&mut updates, &done, 2).await?;
                    settle(&mut updates, &failed, 0).await?;
                }
                Ok::<_, sqlx::Error>(())
            });
        }
        while let Some(lane) = running.join_next().await {
            lane.map_err(peer)??;
        }
        Ok(())
    }
}

const BATCH: u32 = 500;

async fn claim(connection: &mut PgConnection, batch: i64) -> sqlx::Result<Vec<(i64, Json<Args>)>> {
    sqlx::query_as(
        "-- raw::claim
         UPDATE raw.jobs SET state = 1
          WHERE id = ANY (ARRAY(SELECT id FROM raw.jobs WHERE state = 0 AND run_at <= now()
                                 ORDER BY run_at LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING id, args",
    )
    .bind(batch)
    .fetch_all(connection)
    .await
}

async fn settle(connection: &mut PgConnection, ids: &[i64], state: i16) -> sqlx::Result<()> {
    if !ids.is_empty() {
        sqlx::query("-- raw::settle\nUPDATE raw.jobs SET state = $2 WHERE id = ANY ($1)")
            .bind(ids)
            .bind(state)
            .execute(connection)
            .await?;
    }
    Ok(())
}

struct RawProducer {
    connection: PgConnection,
}

#[async_trait]
impl Producer for RawProducer {
    async fn bulk(&mut self, numbers: &[u64], delay: Option<Duration>) -> Result<()> {
        let args: Vec<Json<Args>> = numbers.iter().map(|number| Json(Args { number: *number })).collect();
        sqlx::query(
            "-- raw::bulk
             INSERT INTO raw.jobs (args, run_at)
             SELECT args, now() + make_interval(secs => $2) FROM unnest($1::jsonb[]) AS args",
        )
        .bind(args)
        .bind(delay.unwrap_or_default().as_secs_f64())
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    async fn one(&mut self, number: u64) -> Result<()> {
        self.bulk(&[number], None).await
    }
}
