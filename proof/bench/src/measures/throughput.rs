//! One worker process and an empty database.

use crate::bench::Bench;
use crate::contender::Contender;
use crate::database::Database;
use crate::error::Result;
use crate::measure::Values;
use crate::measures::drain::{Drain, drain};

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender, db: &mut Database) -> Result<Values> {
    drain(bench, contender, db, Drain { jobs: bench.sizes.jobs, processes: 1, fail_once: false }).await
}
