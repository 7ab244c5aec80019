//! The pages stay fast with many ended and many waiting jobs.

use std::time::{Duration, Instant};

use super::super::{App, submission};
use super::Browser;
use super::admin::{MAX_BYTES, PAGES};

/// Ended jobs in the table.
const JOBS: i32 = 1_000_000;

/// Longest time for a page.
const LIMIT: Duration = Duration::from_millis(50);

/// Requests before a page counts as slow: other tests use the same processors.
const TRIES: usize = 20;

#[tokio::test]
async fn each_page_is_fast_with_many_ended_jobs() {
    let app = App::start().await;
    sqlx::query(
        "INSERT INTO queue.jobs (state, finalized_at, created_at, run_at, attempt, attempted_at, lease, kind, args, give_up_at,
                                 give_up_after, max_attempts, max_crashes, subject, worker)
         SELECT (CASE n % 20 WHEN 0 THEN 'discarded' WHEN 1 THEN 'cancelled' ELSE 'completed' END)::queue.job_state,
                now() - n * interval '2 s', now() - n * interval '2 s', now() - n * interval '2 s', 1, now(),
                gen_random_uuid(), 'course-sync', '{}', now(), '1 day', 5, 3, gen_random_uuid(), 'w'
           FROM generate_series(1, $1) AS n",
    )
    .bind(JOBS)
    .execute(&app.pool)
    .await
    .unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.failed_attempts (job_id, attempt, class, message)
         SELECT id, 1, 'network', 'the line is down' FROM queue.jobs WHERE state = 'discarded'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    sqlx::raw_sql(
        "INSERT INTO queue.jobs (kind, args, run_at, priority, give_up_at, give_up_after, max_attempts, max_crashes)
         SELECT (ARRAY['submit', 'probe', 'download', 'transcribe', 'course-sync'])[1 + n % 5], '{}',
                now() + interval '1 day' + n * interval '1 s', 1 + n % 4, now(), '1 day', 5, 3
           FROM generate_series(1, 20000) AS n",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE").execute(&app.pool).await.unwrap();
    let one: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM queue.jobs WHERE state = 'discarded' ORDER BY id LIMIT 1")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    let admin = Browser::of_admin(&app).await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let user = Browser::of_user(&app, 0).await;
    let more = [
        "/ui/lectures".to_owned(),
        "/ui/lectures?status=failed".to_owned(),
        format!("/ui/lectures/{lecture}"),
        "/ui/search?q=energy".to_owned(),
        "/ui/courses".to_owned(),
        "/ui/documents".to_owned(),
        "/ui/webhooks".to_owned(),
        "/ui/admin/jobs?state=discarded".to_owned(),
        "/ui/admin/jobs?state=available".to_owned(),
        "/ui/admin/jobs?state=available&kind=probe".to_owned(),
        "/ui/admin/jobs?state=completed&worker=nobody".to_owned(),
        "/ui/admin/jobs?kind=no-such-kind".to_owned(),
        "/ui/admin/jobs?error_class=network".to_owned(),
        "/ui/admin/jobs?host=no.example".to_owned(),
        format!("/ui/admin/jobs?lecture_id={one}"),
        format!("/ui/admin/jobs?cursor={one}"),
        format!("/ui/admin/jobs/{one}"),
    ];
    let mut slow = Vec::new();
    for path in PAGES.iter().copied().chain(more.iter().map(String::as_str)) {
        let browser = if path.starts_with("/ui/admin") { &admin } else { &user };
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            let begun = Instant::now();
            let page = browser.get(path).await.expect(200);
            best = best.min(begun.elapsed());
            assert!(page.text.len() < MAX_BYTES, "{path}: {} bytes", page.text.len());
            if best <= LIMIT {
                break;
            }
        }
        println!("{:>5} ms {path}", best.as_millis());
        if best > LIMIT {
            slow.push(format!("{path}: {} ms", best.as_millis()));
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
