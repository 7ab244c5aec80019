//! A user's lectures, page by page.

use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::lecture::list;
use bedel_jobs::lecture::view::Filter;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answering, App};

/// Lectures of user `user`, linked one second apart; every third one failed.
async fn lectures(app: &App, user: usize, count: i32, course: Uuid) -> Vec<Uuid> {
    sqlx::query("INSERT INTO users (id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(app.users[user])
        .execute(&app.pool)
        .await
        .unwrap();
    sqlx::query_scalar(
        "WITH made AS (
             INSERT INTO lectures (course_id, panopto_session_id, panopto_url, stream_url, status)
             SELECT $1, $2 || '/' || n, '', '', CASE WHEN n % 3 = 0 THEN 'failed' ELSE 'completed' END::lecture_status
             FROM generate_series(1, $3) AS n
             RETURNING id, split_part(panopto_session_id, '/', 2)::integer AS n
         ), linked AS (
             INSERT INTO user_lectures (user_id, lecture_id, created_at)
             SELECT $2, id, now() + n * interval '1 second' FROM made
         )
         SELECT id FROM made ORDER BY n DESC",
    )
    .bind(course)
    .bind(app.users[user])
    .bind(count)
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

/// All ids over all pages, and the number of pages.
async fn pages(app: &App, query: &str) -> (Vec<Uuid>, usize) {
    let (mut ids, mut cursor, mut count) = (Vec::new(), String::new(), 0);
    loop {
        let page = app.get(0, &format!("/api/lectures?{query}{cursor}")).await.expect(200).json();
        count += 1;
        ids.extend(
            page["lectures"]
                .as_array()
                .unwrap()
                .iter()
                .map(|lecture| -> Uuid { lecture["id"].as_str().unwrap().parse().unwrap() }),
        );
        match &page["next_cursor"] {
            Value::String(next) => cursor = format!("&cursor={next}"),
            Value::Null => return (ids, count),
            other => panic!("{other}"),
        }
        assert!(count < 100, "the pages do not end");
    }
}

#[tokio::test]
async fn pages_hold_every_lecture_once_newest_first() {
    let app = App::start().await;
    let course = Uuid::new_v4();
    let mine = lectures(&app, 0, 23, course).await;
    lectures(&app, 1, 5, Uuid::new_v4()).await;
    for (limit, expected) in [(10, 3), (23, 1), (22, 2), (1, 23), (100, 1)] {
        assert_eq!(pages(&app, &format!("limit={limit}")).await, (mine.clone(), expected), "{limit}");
    }
    let shown = app.get(0, "/api/lectures?limit=1").await.expect(200).json();
    assert_eq!(
        shown["lectures"][0],
        app.get(0, &format!("/api/lectures/{}", mine[0])).await.expect(200).json()
    );
}

#[tokio::test]
async fn filters_let_through_what_they_name() {
    let app = App::start().await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let mine = lectures(&app, 0, 9, one).await;
    let (failed, _) = pages(&app, "status=failed&limit=2").await;
    assert_eq!(failed, [mine[0], mine[3], mine[6]]);
    assert_eq!(pages(&app, &format!("course_id={one}")).await.0, mine);
    assert!(pages(&app, &format!("course_id={other}")).await.0.is_empty());
    assert!(pages(&app, &format!("course_id={one}&status=pending")).await.0.is_empty());
}

/// A filter with few matches scans a bounded number of links per page.
#[tokio::test]
async fn a_rare_match_behind_many_others_is_found() {
    let app = App::start().await;
    let rare = Uuid::new_v4();
    let found = lectures(&app, 0, 1, rare).await;
    sqlx::query("UPDATE user_lectures SET created_at = now() - interval '1 day'")
        .execute(&app.pool)
        .await
        .unwrap();
    lectures(&app, 0, 2500, Uuid::new_v4()).await;
    assert_eq!(pages(&app, &format!("course_id={rare}")).await, (found, 3));
}

#[tokio::test]
async fn a_bad_query_is_refused_field_by_field() {
    let app = App::start().await;
    for (query, field) in [
        ("course_id=x", "course_id"),
        ("status=done", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
    ] {
        let refused = app.get(0, &format!("/api/lectures?{query}")).await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], field, "{query}");
    }
    app.get(0, "/api/lectures?limit=1&limit=2").await.problem(400, "bad_request");
    app.get(0, "/api/lectures?unknown=1").await.expect(200);
    app.anonymous(Method::GET, "/api/lectures").answer().await.problem(401, "unauthenticated");
    assert_eq!(
        app.get(0, "/api/lectures").await.expect(200).json(),
        json!({ "lectures": [], "next_cursor": null })
    );
}

/// Pages of tables and indexes read for the first page of user 0, cached or not.
async fn pages_read(app: &App, filter: Filter) -> i64 {
    const READ: &str = "SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint
                          FROM pg_statio_user_tables WHERE relname IN ('lectures', 'user_lectures', 'jobs')";
    let mut connection = app.pool.acquire().await.unwrap();
    // A small table is scanned whole, which is cheaper; the test compares growth. A generic plan, which a
    // connection may choose after five calls, is the most expensive one.
    const PLAN: &str = "ANALYZE lectures, user_lectures;
                        SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
                        SET plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(PLAN).execute(&mut *connection).await.unwrap();
    let mut readings = Vec::new();
    // The first call also reads what the planner needs.
    for _ in 0..3 {
        list::page(&mut connection, app.users[0], filter, None, 50).await.unwrap();
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&mut *connection).await.unwrap();
        let read: i64 = sqlx::query_scalar(READ).fetch_one(&mut *connection).await.unwrap();
        readings.push(read);
    }
    readings[2] - readings[1]
}

#[tokio::test]
async fn a_page_reads_as_much_among_a_thousand_times_as_many_lectures() {
    let app = App::start().await;
    // A vacuum would read the tables too.
    let quiet = "ALTER TABLE lectures SET (autovacuum_enabled = false);
                 ALTER TABLE user_lectures SET (autovacuum_enabled = false)";
    sqlx::raw_sql(quiet).execute(&app.pool).await.unwrap();
    let filters = [
        Filter::default(),
        Filter { status: Some(LectureStatus::Failed), ..Filter::default() },
        Filter { course_id: Some(Uuid::new_v4()), ..Filter::default() },
    ];
    lectures(&app, 0, 1000, Uuid::new_v4()).await;
    let mut few = Vec::new();
    for filter in filters {
        few.push(pages_read(&app, filter).await);
    }
    lectures(&app, 0, 999_000, Uuid::new_v4()).await;
    for (filter, few) in filters.into_iter().zip(few) {
        let many = pages_read(&app, filter).await;
        // A B-tree is one level deeper.
        assert!(
            few > 0 && many <= few * 3 / 2 + 10,
            "{filter:?}: {few} pages among 1,000 lectures, {many} among 1,000,000"
        );
    }
}
