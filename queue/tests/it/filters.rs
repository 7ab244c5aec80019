//! Filters of lists, counts and walks, in a small table and in a full one.

use std::collections::BTreeSet;

use bedel_queue::inspect::{self, Count, Filter, JobState};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::support::{Act, Bench, bench, step};

/// A waiting job, changed by `update` on `$1`.
async fn job(bench: &Bench, update: &'static str) -> Uuid {
    let id = bench.enqueue(step(Act::Succeed)).await.id;
    if !update.is_empty() {
        sqlx::query(update).bind(id).execute(&bench.pool).await.unwrap();
    }
    id
}

async fn failed(bench: &Bench, id: Uuid, attempt: i32, class: &str) {
    sqlx::query(
        "INSERT INTO queue.failed_attempts (job_id, attempt, class, message) VALUES ($1, $2, $3, 'no line')",
    )
    .bind(id)
    .bind(attempt)
    .bind(class)
    .execute(&bench.pool)
    .await
    .unwrap();
}

/// What a list, a count and a walk return: they must agree.
async fn matching(bench: &Bench, filter: Filter) -> BTreeSet<Uuid> {
    let mut connection = bench.pool.acquire().await.unwrap();
    let filter = Filter { limit: 1000, ..filter };
    let listed: Vec<Uuid> =
        inspect::list(&mut connection, &filter).await.unwrap().into_iter().map(|job| job.id).collect();
    let found: BTreeSet<Uuid> = listed.iter().copied().collect();
    assert_eq!(listed.len(), found.len(), "each once: {filter:?}");
    let count = inspect::count(&mut connection, &filter, 1000).await.unwrap();
    assert_eq!(count, Count { jobs: i64::try_from(found.len()).unwrap(), more: false }, "{filter:?}");
    let walked = walk_all(bench, &filter, Uuid::max(), 2).await;
    assert!(walked.is_sorted() && walked.iter().copied().collect::<BTreeSet<_>>() == found, "{filter:?}");
    // Page by page, without a gap.
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = Filter { after, limit: 2, ..filter.clone() };
        let page = inspect::list(&mut connection, &page).await.unwrap();
        paged.extend(page.iter().map(|job| job.id));
        after = page.last().map(|job| job.id);
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(paged, listed, "{filter:?}");
    found
}

async fn walk_all(bench: &Bench, filter: &Filter, bound: Uuid, portion: usize) -> Vec<Uuid> {
    let mut connection = bench.pool.acquire().await.unwrap();
    let (mut found, mut position) = (Vec::new(), Uuid::nil());
    loop {
        let step = inspect::walk(&mut connection, filter, position, bound, portion).await.unwrap();
        assert!(step.jobs.len() <= portion);
        found.extend(step.jobs.iter().map(|job| job.id));
        let Some(reached) = step.position else { return found };
        assert!(reached > position);
        position = reached;
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[tokio::test]
async fn each_condition_leaves_only_its_jobs() {
    let bench = bench().await;
    let plain = job(&bench, "").await;
    let elsewhere = job(&bench, "UPDATE queue.jobs SET queue = 'elsewhere' WHERE id = $1").await;
    let grouped = job(&bench, "UPDATE queue.jobs SET group_key = 'cdn.example' WHERE id = $1").await;
    let named = job(&bench, "UPDATE queue.jobs SET worker = 'host:7', attempt = 1 WHERE id = $1").await;
    let other = job(&bench, "UPDATE queue.jobs SET kind = 'other', subject = id WHERE id = $1").await;
    let running = job(
        &bench,
        "UPDATE queue.jobs SET state = 'running', lease = id, worker_id = id, attempt = 1, attempted_at = now()
          WHERE id = $1",
    )
    .await;
    let discarded = job(
        &bench,
        "UPDATE queue.jobs SET state = 'discarded', finalized_at = now(), attempt = 2, errors = 2, subject = id
          WHERE id = $1",
    )
    .await;
    let early = job(
        &bench,
        "UPDATE queue.jobs SET state = 'discarded', finalized_at = now() - interval '1 day', attempt = 1, errors = 1
          WHERE id = $1",
    )
    .await;
    failed(&bench, discarded, 1, "timeout").await;
    failed(&bench, discarded, 2, "network").await;
    failed(&bench, early, 1, "network").await;
    failed(&bench, running, 1, "network").await;
    let all = [plain, elsewhere, grouped, named, other, running, discarded, early];
    let set = |ids: &[Uuid]| ids.iter().copied().collect::<BTreeSet<_>>();
    let none = Filter::default;
    let cases = [
        (none(), set(&all)),
        (Filter { kind: text("other"), ..none() }, set(&[other])),
        (Filter { queue: text("elsewhere"), ..none() }, set(&[elsewhere])),
        (Filter { group: text("cdn.example"), ..none() }, set(&[grouped])),
        (Filter { worker: text("host:7"), ..none() }, set(&[named])),
        (Filter { state: Some(JobState::Running), ..none() }, set(&[running])),
        (Filter { state: Some(JobState::Discarded), ..none() }, set(&[discarded, early])),
        (
            Filter { state: Some(JobState::Available), kind: text("step"), ..none() },
            set(&[plain, elsewhere, grouped, named]),
        ),
        // The class of the last failed attempt only.
        (Filter { error_class: text("network"), ..none() }, set(&[discarded, early, running])),
        (Filter { error_class: text("timeout"), ..none() }, set(&[])),
        (Filter { error_class: text("network"), state: Some(JobState::Running), ..none() }, set(&[running])),
        (
            Filter { error_class: text("network"), state: Some(JobState::Discarded), ..none() },
            set(&[discarded, early]),
        ),
        (Filter { error_class: text("network"), queue: text("elsewhere"), ..none() }, set(&[])),
        (Filter { subject: Some(other), ..none() }, set(&[other])),
        (Filter { subject: Some(other), kind: text("step"), ..none() }, set(&[])),
        (Filter { subjects: Some(vec![other, discarded, other]), ..none() }, set(&[other, discarded])),
        (Filter { subjects: Some(Vec::new()), ..none() }, set(&[])),
    ];
    for (filter, expected) in cases {
        assert_eq!(matching(&bench, filter.clone()).await, expected, "{filter:?}");
    }
    let walked = walk_all(&bench, &none(), named, 10).await;
    assert_eq!(walked, [plain, elsewhere, grouped], "jobs before the bound only");
}

#[tokio::test]
async fn a_range_of_time_is_of_creation_or_of_the_end() {
    let bench = bench().await;
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&bench.pool).await.unwrap();
    // Ids of the days on which the jobs were created.
    let id = |day: u32| {
        let time = (now - TimeDelta::days(i64::from(day))).timestamp_millis().unsigned_abs();
        Uuid::from_u128(u128::from(time) << 80 | 0x7000_8000_0000_0000_0000 | u128::from(day))
    };
    let jobs = [id(1), id(2), id(3)];
    for (id, day) in jobs.iter().zip(1..=3_i32) {
        // They ended in the opposite order.
        sqlx::query(
            "INSERT INTO queue.jobs (id, created_at, state, finalized_at, attempt, kind, args, give_up_at, give_up_after,
                                     max_attempts, max_crashes)
             VALUES ($1, $2 - make_interval(days => $3), 'completed', $2 + make_interval(days => $3), 1, 'step', '{}', now(),
                     '1 day', 1, 1)",
        )
        .bind(id)
        .bind(now)
        .bind(day)
        .execute(&bench.pool)
        .await
        .unwrap();
    }
    let days = TimeDelta::days;
    let created = Filter { from: Some(now - days(2)), until: Some(now - days(1)), ..Filter::default() };
    assert_eq!(
        matching(&bench, created.clone()).await,
        BTreeSet::from([jobs[1]]),
        "from is part of it, until is not"
    );
    let ended = Filter {
        state: Some(JobState::Completed),
        from: Some(now + days(1)),
        until: Some(now + days(3)),
        ..Filter::default()
    };
    assert_eq!(matching(&bench, ended).await, BTreeSet::from([jobs[0], jobs[1]]));
}

#[tokio::test]
async fn a_count_says_where_it_stopped() {
    let bench = bench().await;
    for _ in 0..5 {
        bench.enqueue(step(Act::Succeed)).await;
    }
    let mut connection = bench.pool.acquire().await.unwrap();
    let count = inspect::count(&mut connection, &Filter::default(), 5).await.unwrap();
    assert_eq!(count, Count { jobs: 5, more: false });
    let count = inspect::count(&mut connection, &Filter::default(), 4).await.unwrap();
    assert_eq!(count, Count { jobs: 4, more: true });
}

#[tokio::test]
async fn a_chain_shows_the_jobs_of_the_subject_around_a_job() {
    let bench = bench().await;
    let subject = Uuid::new_v4();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(bench.enqueue(step(Act::Succeed).subject(subject)).await.id);
    }
    // Ids of the same millisecond have no order.
    ids.sort_unstable();
    bench.enqueue(step(Act::Succeed)).await;
    let mut connection = bench.pool.acquire().await.unwrap();
    let chain = inspect::chain(&mut connection, subject, ids[2], 1).await.unwrap();
    let found = |jobs: &[inspect::JobView]| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!((found(&chain.before), found(&chain.after)), (vec![ids[1]], vec![ids[3]]));
    let chain = inspect::chain(&mut connection, subject, ids[2], 9).await.unwrap();
    assert_eq!((found(&chain.before), found(&chain.after)), (vec![ids[1], ids[0]], vec![ids[3], ids[4]]));
}

#[tokio::test]
async fn waiting_jobs_are_found_behind_many_newer_ones() {
    let bench = bench().await;
    let due = job(&bench, "").await;
    let later = job(&bench, "UPDATE queue.jobs SET run_at = now() + interval '1 day' WHERE id = $1").await;
    let grouped =
        job(&bench, "UPDATE queue.jobs SET group_key = 'cdn.example', priority = 4 WHERE id = $1").await;
    let suspect = job(&bench, "UPDATE queue.jobs SET crashes = 1, attempt = 1 WHERE id = $1").await;
    let other = job(&bench, "UPDATE queue.jobs SET kind = 'other' WHERE id = $1").await;
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (kind, args, state, attempt, lease, finalized_at, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'step', '{}', 'completed', 1, gen_random_uuid(), now(), now(), '1 day', 1, 1 FROM generate_series(1, 10100)",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let waiting = Filter { state: Some(JobState::Available), ..Filter::default() };
    assert_eq!(
        matching(&bench, waiting.clone()).await,
        BTreeSet::from([due, later, grouped, suspect, other])
    );
    let of_kind = Filter { kind: text("step"), ..waiting.clone() };
    assert_eq!(matching(&bench, of_kind).await, BTreeSet::from([due, later, grouped, suspect]));
    let mut connection = bench.pool.acquire().await.unwrap();
    let mut pages = Vec::new();
    let mut page = inspect::list(&mut connection, &Filter { limit: 2, ..waiting.clone() }).await.unwrap();
    while let Some(last) = page.last().map(|job| job.id) {
        pages.extend(page.iter().map(|job| job.id));
        page = inspect::list(&mut connection, &Filter { limit: 2, after: Some(last), ..waiting.clone() })
            .await
            .unwrap();
    }
    let mut newest_first = [due, later, grouped, suspect, other];
    newest_first.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(pages, newest_first);
}

#[tokio::test]
async fn a_count_of_waiting_jobs_says_when_it_has_not_read_all() {
    let bench = bench().await;
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (kind, args, run_at, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'many', '{}', now() - interval '1 day', now(), '1 day', 1, 1 FROM generate_series(1, 1500);
         INSERT INTO queue.jobs (kind, args, run_at, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT 'few-' || n % 9, '{}', now(), now(), '1 day', 1, 1 FROM generate_series(1, 900) AS n",
    )
    .execute(&bench.pool)
    .await
    .unwrap();
    let waiting = Filter { state: Some(JobState::Available), ..Filter::default() };
    let mut connection = bench.pool.acquire().await.unwrap();
    let mut counted = async |filter: Filter| inspect::count(&mut connection, &filter, 5000).await.unwrap();
    assert_eq!(counted(waiting.clone()).await, Count { jobs: 1900, more: true });
    let of_kind = |kind| Filter { kind: text(kind), ..waiting.clone() };
    assert_eq!(counted(of_kind("many")).await, Count { jobs: 1500, more: false });
    assert_eq!(counted(of_kind("few-3")).await, Count { jobs: 100, more: false });
    // None of those that were read was created in this time, but one that was not read may have been.
    let late = Filter { until: Some(DateTime::<Utc>::UNIX_EPOCH), ..waiting.clone() };
    assert_eq!(counted(late).await, Count { jobs: 0, more: true });
}
