//! What the tables refuse from any writer: the part of the state machine that CHECK constraints cover.

use sqlx::{AssertSqlSafe, SqlSafeStr};

use crate::support::{Act, bench, step};

/// A change of one waiting, never claimed job, and the constraint that refuses it.
const REFUSED: [(&str, &str); 25] = [
    ("state = 'running'", "jobs_running_has_an_owner"),
    ("state = 'running', lease = gen_random_uuid(), attempted_at = now()", "jobs_running_has_an_owner"),
    ("state = 'running', worker_id = gen_random_uuid(), attempted_at = now()", "jobs_running_has_an_owner"),
    (
        "state = 'running', lease = gen_random_uuid(), worker_id = gen_random_uuid()",
        "jobs_running_has_an_owner",
    ),
    ("lease = gen_random_uuid()", "jobs_available_has_no_owner"),
    ("worker_id = gen_random_uuid()", "jobs_available_has_no_owner"),
    ("finalized_at = now()", "jobs_final_is_dated"),
    ("state = 'completed'", "jobs_final_is_dated"),
    ("state = 'discarded'", "jobs_final_is_dated"),
    ("state = 'cancelled'", "jobs_final_is_dated"),
    ("priority = 0", "jobs_priority_range"),
    ("priority = 5", "jobs_priority_range"),
    ("progress = -0.01", "jobs_progress_range"),
    ("progress = 1.01", "jobs_progress_range"),
    ("progress = 'NaN'", "jobs_progress_range"),
    ("attempt = -1", "jobs_counters"),
    ("errors = -1", "jobs_counters"),
    ("crashes = -1", "jobs_counters"),
    ("max_attempts = 0", "jobs_budgets"),
    ("max_crashes = 0", "jobs_budgets"),
    (
        "state = 'running', lease = gen_random_uuid(), worker_id = gen_random_uuid(), attempted_at = now()",
        "jobs_running_was_claimed",
    ),
    ("errors = 1", "jobs_spent_by_attempts"),
    ("result = '{}'", "jobs_result_of_success"),
    ("checkpoint_advanced = true", "jobs_advanced_has_a_checkpoint"),
    ("give_up_after = '-1 second'", "jobs_time_to_wait"),
];

#[tokio::test]
async fn rows_that_no_promise_allows_are_refused_by_the_table() {
    let bench = bench().await;
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    for (change, constraint) in REFUSED {
        let sql = AssertSqlSafe(format!("UPDATE queue.jobs SET {change} WHERE id = $1")).into_sql_str();
        let error = sqlx::query(sql).bind(id).execute(&bench.pool).await.expect_err(change);
        let named = error.as_database_error().and_then(|error| error.constraint()).unwrap_or_default();
        assert_eq!(named, constraint, "{change}: {error}");
    }
}

#[tokio::test]
async fn two_live_jobs_with_one_key_are_refused_by_the_table_and_a_live_beside_ended_ones_is_not() {
    let bench = bench().await;
    bench.enqueue(step(Act::Succeed).unique_key("one")).await;
    let copy = async |state: &str, finalized: &str| {
        let sql = format!(
            "INSERT INTO queue.jobs (kind, args, give_up_at, give_up_after, max_attempts, max_crashes, unique_key, state,
                                     finalized_at, attempt, lease)
             VALUES ('step', '{{}}', now(), '1 day', 1, 1, 'one', '{state}', {finalized}, 1,
                     CASE WHEN '{state}' = 'completed' THEN gen_random_uuid() END)"
        );
        sqlx::raw_sql(AssertSqlSafe(sql).into_sql_str()).execute(&bench.pool).await
    };
    for state in ["completed", "discarded", "cancelled"] {
        copy(state, "now()").await.unwrap();
    }
    for first in ["waits", "runs"] {
        let error = copy("available", "NULL").await.expect_err(first);
        assert!(error.as_database_error().is_some_and(|error| error.is_unique_violation()), "{error}");
        sqlx::raw_sql(
            "UPDATE queue.jobs SET state = 'running', lease = id, worker_id = id, attempt = 1, attempted_at = now()
              WHERE state = 'available'",
        )
        .execute(&bench.pool)
        .await
        .unwrap();
    }
}
