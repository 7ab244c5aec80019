//! The same work while a session holds an old snapshot, so no dead row version can be removed. The same
//! number of jobs has already finished under the snapshot.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::bench::Bench;
use crate::contender::Contender;
use crate::database::{BYSTANDER, Database};
use crate::error::Result;
use crate::measure::Values;
use crate::measures::drain::{Drain, drain};

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender, db: &mut Database) -> Result<Values> {
    // In this database: a snapshot in another one pins nothing here.
    let options: PgConnectOptions = db.url.parse()?;
    let mut pin = options.application_name(BYSTANDER).connect().await?;
    sqlx::raw_sql("-- pinned::begin\nBEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut pin).await?;
    sqlx::raw_sql("-- pinned::read\nSELECT count(*) FROM pg_class").execute(&mut pin).await?;
    let churn = Drain { jobs: bench.sizes.jobs, processes: 1, fail_once: false };
    drain(bench, contender, db, churn).await?;
    let values = drain(bench, contender, db, churn).await;
    pin.close().await?;
    values
}
