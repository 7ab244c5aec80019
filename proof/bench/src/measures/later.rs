//! The same work beside many jobs that are scheduled for tomorrow.

use std::time::Duration;

use crate::bench::{Bench, enqueue};
use crate::contender::Contender;
use crate::database::Database;
use crate::error::Result;
use crate::measure::Values;
use crate::measures::drain::{Drain, drain};

const TOMORROW: Duration = Duration::from_secs(24 * 3600);

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender, db: &mut Database) -> Result<Values> {
    let mut producer = contender.producer(&db.url, bench.tuning).await?;
    enqueue(producer.as_mut(), bench.sizes.later, Some(TOMORROW)).await?;
    drop(producer);
    drain(bench, contender, db, Drain { jobs: bench.sizes.jobs, processes: 1, fail_once: false }).await
}
