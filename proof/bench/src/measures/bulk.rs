//! Enqueueing many: one producer, one connection, one durable transaction per batch.

use crate::bench::{Bench, enqueue};
use crate::clock;
use crate::contender::Contender;
use crate::database::Database;
use crate::error::{BenchError, Result};
use crate::measure::{Values, value};

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender, db: &mut Database) -> Result<Values> {
    let jobs = bench.sizes.bulk;
    let mark = db.mark(contender).await?;
    let mut producer = contender.producer(&db.url, bench.tuning).await?;
    db.checkpoint().await?;
    let before = clock::now();
    enqueue(producer.as_mut(), jobs, None).await?;
    let after = clock::now();
    drop(producer);
    let stored = db.waiting(contender, &mark).await?;
    if u64::try_from(stored) != Ok(jobs) {
        return Err(BenchError::Wrong {
            contender: contender.name(),
            what: format!("{stored} of {jobs} jobs are in the database"),
        });
    }
    Ok(value("inserts_per_second", jobs as f64 / clock::seconds(before, after)))
}
