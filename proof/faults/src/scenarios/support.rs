//! Helpers that several scenarios use.

use std::time::Duration;

use bedel_test_support::Hold;

use crate::error::FaultsError;
use crate::jobs::Act;
use crate::plan::Plan;

/// Harmless work of any sort that takes `low` to `high` milliseconds.
pub fn some_act(plan: &mut Plan, low: u64, high: u64) -> Act {
    let ms = plan.between(low, high);
    match plan.index(4) {
        0 => Act::March(4, ms / 4),
        1 | 2 => Act::Promote(ms / 2, ms / 2),
        _ => Act::Sleep(ms),
    }
}

/// Waits until the proxy holds the connection.
///
/// # Errors
/// If the statement does not come within `timeout`.
pub async fn until_held(hold: &mut Hold, timeout: Duration) -> Result<(), FaultsError> {
    match hold.reached(timeout).await {
        true => Ok(()),
        false => Err(FaultsError::Late("the statement that the proxy holds".to_owned())),
    }
}
