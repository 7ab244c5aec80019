//! The same work beside many finished rows, in the state and the table where the queue keeps them. A queue
//! that deletes finished jobs is measured without any.

use crate::bench::Bench;
use crate::contender::{Contender, Fill};
use crate::database::Database;
use crate::error::Result;
use crate::measure::Values;
use crate::measures::drain::{Drain, drain};

pub async fn measure(bench: &Bench<'_>, contender: &dyn Contender) -> Result<Values> {
    let template = template(bench, contender).await?;
    let what = Drain { jobs: bench.sizes.jobs, processes: 1, fail_once: false };
    bench.copy(contender, &template, async |db| drain(bench, contender, db, what).await).await
}

/// The database with the finished rows: filled once per run, then copied.
async fn template(bench: &Bench<'_>, contender: &dyn Contender) -> Result<String> {
    let name = format!("finished_{}", contender.name());
    if bench.cluster.has(&name).await? {
        return Ok(name);
    }
    bench.cluster.create(&name).await?;
    let url = bench.cluster.url(&name);
    contender.setup(&url).await?;
    let mut db = Database::connect(url).await?;
    if let Fill::Sql(statement) = contender.tables().fill {
        db.fill(statement, bench.sizes.finished).await?;
    }
    db.vacuum().await?;
    db.close().await?;
    Ok(name)
}
