//! A round as it has to be, and every way in which it can be broken.

use bedel_postgres::testing::database;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use super::*;
use crate::jobs::SCHEMA;

const ITEM: &str = "00000000-0000-4000-8000-000000000001";
const FIRST: &str = "00000000-0000-4000-8000-00000000000a";
const LEASE: &str = "00000000-0000-4000-8000-0000000000aa";

/// A round of one chain of one job that promoted a file, as it has to be, and then changed by `sql`.
async fn changed(sql: &str, promoted_by: &str) -> Outcome {
    let database = database("faults-checker", async |pool| {
        bedel_queue::migrate(&pool).await.expect("the queue");
        sqlx::raw_sql(SCHEMA).execute(&pool).await.expect("the tables of the suite");
    })
    .await;
    let args = format!("{{\"item\":\"{ITEM}\",\"step\":1,\"steps\":1,\"act\":{{\"Promote\":[1,1]}}}}");
    let round = format!(
        "INSERT INTO faults.items (id, visits) VALUES ('{ITEM}', 1);
         SELECT queue.enqueue(kind => 'visit', args => '{args}');
         UPDATE queue.jobs SET id = '{FIRST}', state = 'completed', finalized_at = now(), attempt = 1,
                attempted_at = now(), lease = '{LEASE}';
         INSERT INTO faults.commits VALUES ('{FIRST}', '{LEASE}', '{ITEM}', 1);
         {sql}"
    );
    sqlx::raw_sql(AssertSqlSafe(round)).execute(&database.pool).await.expect("the round");
    let directory = TempDir::new().expect("a directory");
    let [item, first, lease] = [ITEM, FIRST, LEASE].map(|id| id.parse::<Uuid>().expect("an id"));
    let file = final_file(directory.path(), first);
    std::fs::create_dir(file.parent().expect("a parent")).expect("a directory");
    std::fs::write(file, promoted_by).expect("a file");
    let start = Entry { at_ms: 0, pid: 1, job: first, lease, attempt: 1, what: What::Start };
    let chain = Chain { item, first, steps: 1, plain: false };
    check(&database.pool, directory.path(), &[start], &[chain], &Allowance::default())
        .await
        .expect("a verdict")
}

async fn counts(sql: &str, promoted_by: &str) -> [usize; 4] {
    let outcome = changed(sql, promoted_by).await;
    println!("{:?}", outcome.details);
    [outcome.lost, outcome.doubled, outcome.stuck, outcome.over_budget].map(|count| count.min(1))
}

#[tokio::test]
async fn a_round_as_it_has_to_be_is_clean() {
    let outcome = changed("", LEASE).await;
    assert_eq!((outcome.jobs, outcome.details.as_slice()), (1, [].as_slice()));
}

#[tokio::test]
async fn what_is_missing_is_lost() {
    for sql in [
        "DELETE FROM queue.jobs",
        "DELETE FROM faults.commits",
        "UPDATE faults.items SET visits = 0",
        "DELETE FROM faults.items",
        "UPDATE queue.jobs SET state = 'discarded'; DELETE FROM faults.commits",
    ] {
        assert_eq!(counts(sql, LEASE).await, [1, 0, 0, 0], "{sql}");
    }
}

#[tokio::test]
async fn what_happened_twice_is_doubled() {
    let again = "INSERT INTO faults.commits SELECT * FROM faults.commits";
    assert_eq!(counts(again, LEASE).await, [0, 1, 0, 0]);
    let twin = "INSERT INTO queue.jobs (kind, args, give_up_at, give_up_after, max_attempts, max_crashes, state,
                                        finalized_at, lease, attempt)
                SELECT kind, args, give_up_at, give_up_after, 1, 1, 'completed', now(), lease, 1 FROM queue.jobs;
                INSERT INTO faults.commits SELECT id, lease, (args->>'item')::uuid, 1 FROM queue.jobs
                 WHERE id NOT IN (SELECT job_id FROM faults.commits)";
    assert_eq!(counts(twin, LEASE).await[1], 1);
    assert_eq!(counts("UPDATE faults.items SET visits = 2", LEASE).await, [0, 1, 0, 0]);
    let zombie = "UPDATE faults.commits SET lease = gen_random_uuid()";
    assert_eq!(counts(zombie, LEASE).await, [0, 1, 0, 0]);
    assert_eq!(counts("", "another lease").await, [0, 1, 0, 0], "a final file of a zombie's");
    assert_eq!(
        counts("UPDATE queue.jobs SET attempt = 0", LEASE).await,
        [0, 1, 0, 0],
        "more starts than claims"
    );
}

#[tokio::test]
async fn what_is_not_final_is_stuck_and_what_was_spent_without_a_fault_is_over_budget() {
    let live =
        "UPDATE queue.jobs SET state = 'available', finalized_at = NULL, lease = NULL, worker_id = NULL;
                DELETE FROM faults.commits";
    assert_eq!(counts(live, LEASE).await, [0, 0, 1, 0]);
    assert_eq!(counts("UPDATE queue.jobs SET errors = 1", LEASE).await, [0, 0, 0, 1]);
    assert_eq!(counts("UPDATE queue.jobs SET crashes = 1", LEASE).await, [0, 0, 0, 1]);
}
