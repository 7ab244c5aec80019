//! The same work by two programs, one after the other.

use crate::error::{BenchError, Result, peer};

/// Two programs that did the same, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub(super) other: f64,
    pub(super) bedel: f64,
}

impl Pair {
    /// Each after everything that was written before is on the disk.
    pub(super) async fn measure(
        bedel_first: bool,
        bedel: impl AsyncFn() -> Result<f64>,
        other: impl AsyncFn() -> Result<f64>,
    ) -> Result<Self> {
        if bedel_first {
            let bedel = settled(&bedel).await?;
            return Ok(Self { bedel, other: settled(&other).await? });
        }
        let other = settled(&other).await?;
        Ok(Self { other, bedel: settled(&bedel).await? })
    }
}

async fn settled(measure: &impl AsyncFn() -> Result<f64>) -> Result<f64> {
    tokio::task::spawn_blocking(rustix::fs::sync).await.map_err(peer)?;
    measure().await
}

pub(super) fn wrong(what: String) -> BenchError {
    BenchError::Wrong { contender: "bedel", what }
}
