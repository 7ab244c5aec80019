//! What is measured. Each measure is one file; several are the same work under other circumstances.

mod bulk;
mod drain;
mod fail_once;
mod finished;
pub mod idle;
pub mod latency;
mod later;
mod pinned;
mod processes;
mod throughput;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::error::Result;
use crate::measure::{Measure, Values};

/// Runs one measure of one contender in a fresh database, and drops that.
pub async fn measure(bench: &Bench<'_>, measure: Measure, contender: &dyn Contender) -> Result<Values> {
    match measure {
        Measure::Bulk => bench.fresh(contender, async |db| bulk::measure(bench, contender, db).await).await,
        Measure::Throughput => {
            bench.fresh(contender, async |db| throughput::measure(bench, contender, db).await).await
        }
        Measure::Latency => {
            bench.fresh(contender, async |db| latency::measure(bench, contender, db).await).await
        }
        Measure::Finished => finished::measure(bench, contender).await,
        Measure::Later => bench.fresh(contender, async |db| later::measure(bench, contender, db).await).await,
        Measure::Pinned => {
            bench.fresh(contender, async |db| pinned::measure(bench, contender, db).await).await
        }
        Measure::Processes => {
            bench.fresh(contender, async |db| processes::measure(bench, contender, db).await).await
        }
        Measure::FailOnce => {
            bench.fresh(contender, async |db| fail_once::measure(bench, contender, db).await).await
        }
        Measure::Idle => idle::measure(bench, contender).await,
    }
}
