//! Each job fails at its first attempt and succeeds at its second, which is due at once if the queue allows
//! it.

use crate::bench::Bench;
use crate::contender::Contender;
use crate::database::Database;
use crate::error::Result;
use crate::measure::Values;
use crate::measures::drain::{Drain, drain};

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender, db: &mut Database) -> Result<Values> {
    drain(bench, contender, db, Drain { jobs: bench.sizes.failing, processes: 1, fail_once: true }).await
}
