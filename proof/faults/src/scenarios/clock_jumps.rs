//! The database's clock jumps: promise 5. No job is rescued or discarded because of it.
//!
//! A test cannot set the machine's clock. So each session of the round resolves `now()` and
//! `clock_timestamp()` to functions of a schema that comes before PostgreSQL's own in the search path; they
//! add what a table says. Every statement of the queue sees the jump. The server's own timeouts do not.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use sqlx::{AssertSqlSafe, PgPool};

use super::support::some_act;
use crate::error::FaultsError;
use crate::expect::Allowance;
use crate::jobs::Act;
use crate::report::Outcome;
use crate::round::Round;
use crate::suite::Suite;

const SHADOW: &str = "
CREATE SCHEMA shadow;
CREATE TABLE shadow.clock (ahead interval NOT NULL);
INSERT INTO shadow.clock VALUES ('0');
CREATE FUNCTION shadow.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + ahead FROM shadow.clock';
CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM shadow.clock';
-- A default keeps the function that it was written with.
SET search_path = shadow, public, pg_catalog;
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT table_name, column_name FROM information_schema.columns
              WHERE table_schema = 'queue' AND column_default ~ '^(pg_catalog\\.)?now\\(\\)$' LOOP
        EXECUTE format('ALTER TABLE queue.%I ALTER COLUMN %I SET DEFAULT shadow.now()', c.table_name, c.column_name);
    END LOOP;
END
$$;
";

const HOUR: i64 = 3_600_000_000;

pub async fn play(suite: &Suite) -> Outcome {
    suite.play("clock", suite.rounds(2, 10), 5, async |round, _| one(round).await).await
}

async fn one(mut round: Round) -> Result<Outcome, FaultsError> {
    sqlx::raw_sql(SHADOW).execute(&round.pool).await?;
    let name = round.pool.connect_options().get_database().unwrap_or_default().to_owned();
    let statement = format!("-- clock\nALTER DATABASE {name} SET search_path = shadow, public, pg_catalog");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&round.pool).await?;
    // Open sessions of the suite keep their search path and the true clock; new ones do not.
    let pool = PgPool::connect(&round.url).await?;
    is_shadowed(&pool).await?;

    let _workers = round.workers(2).await?;
    for ahead in [0, HOUR, -HOUR, 0] {
        for _ in 0..4 {
            let act = some_act(&mut round.plan, 50, 800);
            round.enqueue(act, 2).await?;
        }
        // Longer than "dead after", so it still runs after the jump.
        round.enqueue(Act::Sleep(1500), 1).await?;
        tokio::time::sleep(round.plan.millis(100, 600)).await;
        jump(&pool, ahead).await?;
        tokio::time::sleep(round.plan.millis(100, 600)).await;
    }
    // Jobs enqueued an hour ahead wait until the clock gets there.
    jump(&pool, 2 * HOUR).await?;
    round.settle(Duration::from_secs(60)).await;
    pool.close().await;
    let allowance = Allowance { starts: Some(1), ..Allowance::default() };
    Ok(Outcome { faults: 4, ..round.check(&allowance).await? })
}

async fn jump(pool: &PgPool, microseconds: i64) -> Result<(), FaultsError> {
    sqlx::query("-- clock::jump\nUPDATE shadow.clock SET ahead = $1")
        .bind(PgInterval { months: 0, days: 0, microseconds })
        .execute(pool)
        .await?;
    Ok(())
}

/// A jump that the queue's statements do not see would prove nothing.
async fn is_shadowed(pool: &PgPool) -> Result<(), FaultsError> {
    jump(pool, HOUR).await?;
    let seen: bool =
        sqlx::query_scalar("-- clock::seen\nSELECT now() > pg_catalog.now() + interval '59 minutes'")
            .fetch_one(pool)
            .await?;
    jump(pool, 0).await?;
    if seen { Ok(()) } else { Err(FaultsError::Setup("the clock does not jump".to_owned())) }
}
