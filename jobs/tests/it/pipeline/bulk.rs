//! Bulk operations under the real queue: each job exactly once, however often the worker dies.

use bedel_jobs::audit::{self, Actor};
use bedel_jobs::bulk::{self, BulkAction, BulkError, BulkOperation, Selection, Stopped};
use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::registry;
use bedel_queue::inspect::{Filter, JobState};
use bedel_test_support::{Moment, Statement};
use uuid::Uuid;

use super::harness::{Harness, LECTURE, USER, eventually, options, until_held};
use super::process::Process;

const KIND: &str = "bulk-jobs";

/// Jobs of one portion.
const PORTION: i64 = 500;

/// Discarded jobs, and a table with one row for each committed change of one.
async fn discarded(harness: &Harness, jobs: i64) {
    add_discarded(harness, jobs).await;
    sqlx::raw_sql(
        "CREATE TABLE changes (id uuid NOT NULL);
         CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO public.changes VALUES (OLD.id); RETURN NULL; END $$;
         CREATE TRIGGER note_change AFTER UPDATE ON queue.jobs FOR EACH ROW
             WHEN (OLD.kind = 'cleanup-orphans') EXECUTE FUNCTION note_change()",
    )
    .execute(harness.pool())
    .await
    .expect("a trigger");
}

async fn add_discarded(harness: &Harness, jobs: i64) {
    sqlx::query(
        "INSERT INTO queue.jobs (state, finalized_at, attempt, errors, kind, queue, args, give_up_at, give_up_after,
                                 max_attempts, max_crashes)
         SELECT 'discarded', now(), 3, 3, 'cleanup-orphans', 'maintenance', '{}', now(), '1 day', 3, 3
           FROM generate_series(1, $1)",
    )
    .bind(jobs)
    .execute(harness.pool())
    .await
    .expect("jobs");
}

async fn start(harness: &Harness, action: BulkAction, filter: Filter) -> BulkOperation {
    let mut tx = harness.pool().begin().await.expect("a transaction");
    let operation =
        bulk::start(&mut tx, action, &filter.into(), Actor::api(USER)).await.expect("an operation");
    tx.commit().await.expect("committed");
    operation
}

async fn status(harness: &Harness, id: Uuid) -> BulkOperation {
    let mut connection = harness.pool().acquire().await.expect("a connection");
    bulk::status(&mut connection, id).await.expect("an answer").expect("the operation")
}

async fn run(harness: &Harness, action: BulkAction, filter: Filter) -> BulkOperation {
    let operation = start(harness, action, filter).await;
    let worker = harness.worker(options(&[KIND]), harness.ctx.clone());
    let id = operation.id;
    eventually("the operation ended", async || status(harness, id).await.ended_at.is_some()).await;
    worker.stop().await;
    status(harness, id).await
}

async fn number(harness: &Harness, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(harness.pool()).await.expect("a number")
}

/// The audit log's actions and counts, oldest first.
async fn audited(harness: &Harness) -> Vec<(String, i64)> {
    let mut connection = harness.pool().acquire().await.expect("a connection");
    let mut entries = audit::list(&mut connection, None, 100).await.expect("the log");
    entries.reverse();
    assert!(entries.iter().all(|entry| entry.user_id == Some(USER) && entry.source == "api"), "{entries:?}");
    entries.into_iter().map(|entry| (entry.action, entry.count)).collect()
}

fn of_state(state: JobState) -> Filter {
    Filter { kind: Some("cleanup-orphans".to_owned()), state: Some(state), ..Filter::default() }
}

/// Retries `jobs` while the worker is killed in three portions, before and after their changes are durable.
async fn survives_kills(jobs: i64) {
    let skip = usize::try_from(jobs / PORTION / 10).expect("a few portions");
    let harness = Harness::new().await;
    discarded(&harness, jobs).await;
    let operation = start(&harness, BulkAction::Retry, of_state(JobState::Discarded)).await;
    add_discarded(&harness, 10).await;
    let points = [
        (Statement::Named("portion::advance"), Moment::Before),
        (Statement::CommitOf("portion::advance"), Moment::After),
        (Statement::CommitOf("portion::advance"), Moment::Before),
    ];
    for (statement, moment) in points {
        let proxy = harness.proxy();
        let mut hold = proxy.hold_later(statement, moment, skip);
        let mut process = Process::start(&harness, &proxy, &[KIND], "quick");
        until_held(&format!("{statement:?}, {moment:?}"), &mut hold).await;
        process.kill();
        hold.cut();
    }
    let before = status(&harness, operation.id).await;
    assert!(before.ended_at.is_none() && before.changed > 0 && before.changed < jobs, "{before:?}");
    let proxy = harness.proxy();
    let mut process = Process::start(&harness, &proxy, &[KIND], "quick");
    harness.until_done(KIND).await;
    process.kill();
    let ended = status(&harness, operation.id).await;
    assert_eq!(
        (ended.changed, ended.refused, ended.outcome.as_deref()),
        (jobs, 0, Some("done")),
        "{ended:?}"
    );
    let changes = "SELECT count(*) FROM changes";
    let changed = "SELECT count(DISTINCT id) FROM changes";
    assert_eq!((number(&harness, changes).await, number(&harness, changed).await), (jobs, jobs), "each once");
    assert_eq!(harness.count("cleanup-orphans", "available").await, jobs);
    assert_eq!(
        harness.count("cleanup-orphans", "discarded").await,
        10,
        "those enqueued later are left alone"
    );
    let expected = [("start-bulk".to_owned(), 0), ("end-bulk".to_owned(), jobs)];
    assert_eq!(audited(&harness).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_is_changed_once_though_the_worker_is_killed() {
    // script/nightly asks for a hundred thousand.
    let jobs = std::env::var("BEDEL_TEST_BULK_JOBS").map_or(5_000, |jobs| jobs.parse().expect("a number"));
    survives_kills(jobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_comes_between_two_portions_and_a_retry_resumes() {
    let harness = Harness::new().await;
    discarded(&harness, 4 * PORTION).await;
    let operation = start(&harness, BulkAction::Retry, of_state(JobState::Discarded)).await;
    let proxy = harness.proxy();
    let mut hold = proxy.hold_later(Statement::Named("portion::advance"), Moment::Before, 1);
    let mut process = Process::start(&harness, &proxy, &[KIND], "quick");
    until_held("the second portion", &mut hold).await;
    let stop = {
        let (pool, registry) = (harness.pool().clone(), registry(harness.ctx.clone()));
        tokio::spawn(async move {
            let mut tx = pool.begin().await.expect("a transaction");
            let stopped =
                bulk::stop(&mut tx, &registry, operation.id, Actor::api(USER)).await.expect("an answer");
            tx.commit().await.expect("committed");
            stopped
        })
    };
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%bulk::lock%'";
    eventually("the stop waits for the portion", async || number(&harness, waiting).await > 0).await;
    hold.release();
    assert_eq!(stop.await.expect("no panic"), Stopped::Stopped);
    process.kill();
    let stopped = status(&harness, operation.id).await;
    assert_eq!(stopped.outcome.as_deref(), Some("stopped"));
    assert_eq!(harness.count("cleanup-orphans", "available").await, stopped.changed);
    assert_eq!(stopped.changed % PORTION, 0, "whole portions: {stopped:?}");
    assert!(stopped.changed < 4 * PORTION, "{stopped:?}");
    let mut tx = harness.pool().begin().await.expect("a transaction");
    let again = bulk::stop(&mut tx, &registry(harness.ctx.clone()), operation.id, Actor::api(USER)).await;
    assert_eq!(again.expect("an answer"), Stopped::Ended);
    let unknown = bulk::stop(&mut tx, &registry(harness.ctx.clone()), Uuid::new_v4(), Actor::api(USER)).await;
    assert_eq!(unknown.expect("an answer"), Stopped::NotFound);
    tx.rollback().await.expect("rolled back");
    let log = audited(&harness).await;
    let actions: Vec<_> = log.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["start-bulk", "end-bulk", "stop-bulk"]);
    assert_eq!(log[1].1, stopped.changed);

    let mut tx = harness.pool().begin().await.expect("a transaction");
    bedel_queue::retry(&mut tx, operation.job_id).await.expect("a retry");
    tx.commit().await.expect("committed");
    let worker = harness.worker(options(&[KIND]), harness.ctx.clone());
    harness.until_done(KIND).await;
    worker.stop().await;
    let ended = status(&harness, operation.id).await;
    assert_eq!((ended.changed, ended.outcome.as_deref()), (4 * PORTION, Some("done")), "{ended:?}");
    assert_eq!(number(&harness, "SELECT count(*) FROM changes").await, 4 * PORTION, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_changes_the_jobs_it_applies_to() {
    let harness = Harness::new().await;
    discarded(&harness, 7).await;
    let nothing = Filter { limit: 5, ..Filter::default() };
    let mut tx = harness.pool().begin().await.expect("a transaction");
    let refused = bulk::start(&mut tx, BulkAction::Delete, &nothing.into(), Actor::CLI).await;
    assert!(matches!(refused, Err(BulkError::EmptyFilter)), "{refused:?}");
    let preview = bulk::preview(&mut tx, &of_state(JobState::Discarded)).await.expect("a preview");
    assert_eq!((preview.count.jobs, preview.count.more, preview.sample.len()), (7, false, 7));
    tx.rollback().await.expect("rolled back");

    let kind = Filter { kind: Some("cleanup-orphans".to_owned()), ..Filter::default() };
    let ended = run(&harness, BulkAction::Reprioritise(4), kind.clone()).await;
    assert_eq!((ended.total, ended.changed, ended.refused), (7, 0, 7), "none waits: {ended:?}");
    let ended = run(&harness, BulkAction::Retry, kind.clone()).await;
    assert_eq!((ended.changed, ended.refused), (7, 0));
    let ended = run(&harness, BulkAction::Reprioritise(4), kind.clone()).await;
    assert_eq!((ended.changed, ended.refused), (7, 0));
    assert_eq!(
        number(&harness, "SELECT count(*) FROM queue.jobs WHERE kind = 'cleanup-orphans' AND priority = 4")
            .await,
        7
    );
    let ended = run(&harness, BulkAction::Delete, kind.clone()).await;
    assert_eq!((ended.changed, ended.refused), (0, 7), "a waiting job is not deleted");
    let ended = run(&harness, BulkAction::Cancel, kind.clone()).await;
    assert_eq!((ended.changed, ended.refused), (7, 0));
    assert_eq!(harness.count("cleanup-orphans", "cancelled").await, 7);
    let ended = run(&harness, BulkAction::Delete, kind).await;
    assert_eq!((ended.changed, ended.refused), (7, 0));
    assert_eq!(number(&harness, "SELECT count(*) FROM queue.jobs WHERE kind = 'cleanup-orphans'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lectures_jobs_are_changed_through_their_lecture() {
    let harness = Harness::new().await;
    harness.start("submit").await;
    let submit = Filter { kind: Some("submit".to_owned()), ..Filter::default() };
    let ended = run(&harness, BulkAction::Cancel, submit.clone()).await;
    assert_eq!((ended.changed, ended.refused), (1, 0));
    let lecture = harness.lecture().await.expect("the lecture");
    assert_eq!(lecture.status, LectureStatus::Failed);
    assert!(lecture.error_message.is_some_and(|message| message.contains("cancelled")));
    assert_eq!(harness.count("cleanup-orphans", "available").await, 2, "its files are cleaned up");

    let ended = run(&harness, BulkAction::Retry, Filter { subject: Some(LECTURE), ..submit.clone() }).await;
    assert_eq!((ended.changed, ended.refused), (1, 0));
    assert!(harness.is_live("submit").await);
    assert_eq!(harness.lecture().await.expect("the lecture").status, LectureStatus::Pending);
    // The lecture continues through its newest job alone; the cancelled one stays.
    let ended = run(&harness, BulkAction::Retry, submit).await;
    assert_eq!((ended.changed, ended.refused), (1, 1));
    assert_eq!(harness.count("submit", "available").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_operations_are_not_changed_by_others() {
    let harness = Harness::new().await;
    harness.start("submit").await;
    let submit = Filter { kind: Some("submit".to_owned()), ..Filter::default() };
    run(&harness, BulkAction::Cancel, submit).await;
    let bulk = Filter { kind: Some("bulk-jobs".to_owned()), ..Filter::default() };
    for action in [BulkAction::Retry, BulkAction::Cancel, BulkAction::Reprioritise(4), BulkAction::Delete] {
        let ended = run(&harness, action, bulk.clone()).await;
        assert_eq!(ended.changed, 0, "{action:?}");
        assert!(ended.refused > 0, "{action:?}");
    }
}

/// The log and the operation have the user; the jobs of lectures that the user did not have stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_users_jobs_are_changed_and_the_user_alone_is_recorded() {
    let harness = Harness::new().await;
    discarded(&harness, 3).await;
    sqlx::query("UPDATE queue.jobs SET subject = $1 WHERE id = (SELECT min(id::text)::uuid FROM queue.jobs)")
        .bind(LECTURE)
        .execute(harness.pool())
        .await
        .expect("a subject");
    let filter = Filter { subjects: Some(vec![LECTURE]), ..of_state(JobState::Discarded) };
    let selection = Selection { filter, user_id: Some(USER) };
    let mut tx = harness.pool().begin().await.expect("a transaction");
    let started =
        bulk::start(&mut tx, BulkAction::Retry, &selection, Actor::api(USER)).await.expect("started");
    tx.commit().await.expect("committed");
    let given = serde_json::json!({ "kind": "cleanup-orphans", "state": "discarded", "user_id": USER });
    assert_eq!((started.total, &started.filter), (1, &given));
    let worker = harness.worker(options(&[KIND]), harness.ctx.clone());
    eventually("it ended", async || status(&harness, started.id).await.ended_at.is_some()).await;
    worker.stop().await;
    let ended = status(&harness, started.id).await;
    assert_eq!((ended.changed, ended.refused, &ended.filter), (1, 0, &given), "{ended:?}");
    let log = audit::list(&mut harness.pool().acquire().await.expect("a connection"), None, 10).await;
    for entry in log.expect("the log") {
        assert_eq!(entry.detail["filter"], given, "{entry:?}");
    }
}
