//! Bounded counts.

use sqlx::PgConnection;

/// Counts stop here: this many or more.
pub const COUNT_LIMIT: i64 = 10_000;

/// Turns off `jit` for the rest of the transaction. The planner overestimates the counts and would compile them, which takes
/// twenty times as long as the counts.
pub(super) async fn disable_jit(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("-- counting::disable_jit\nSET LOCAL jit = off").execute(tx).await?;
    Ok(())
}
