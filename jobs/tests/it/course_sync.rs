//! The course-sync job on a real database, run by a real worker, against a server that behaves like CDCS at its
//! worst.

mod catalogue_env;

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bedel_jobs::course_sync::CourseSync;
use bedel_queue::inspect::JobState;
use serde_json::{Value, json};
use uuid::Uuid;

use catalogue_env::{Answer, CatalogueEnv, Entry, FALL, SPRING, document};

/// The counts of a result: created, updated, unchanged, deleted, retained, total.
fn counts(result: &Value) -> [u64; 6] {
    ["created", "updated", "unchanged", "deleted", "retained", "total"]
        .map(|name| result[name].as_u64().expect(name))
}

/// `CSC 1` to `CSC {n}`, two sections each.
fn entries(n: usize) -> Vec<(String, String)> {
    (1..=n)
        .flat_map(|i| [1, 2].map(|section| (format!("CSC {i}-{section}"), format!("Course {i}"))))
        .collect()
}

fn borrowed(entries: &[(String, String)]) -> Vec<Entry<'_>> {
    entries.iter().map(|(code, title)| (code.as_str(), title.as_str(), "")).collect()
}

#[tokio::test]
async fn a_first_run_fills_the_table_and_a_second_changes_nothing() {
    let env = CatalogueEnv::new().await;
    env.serve(FALL, &[("CSC 171-1", "Intro", "A"), ("CSC 171-2", "Intro", "B"), ("CSC 172-1", "Data", "")]);
    env.serve(SPRING, &[("csc  172-1", "Data Structures", "C"), ("TEO-101", "Odd", "")]);
    let result = env.sync().await;
    assert_eq!(
        result,
        json!({"created": 2, "updated": 0, "unchanged": 0, "deleted": 0, "retained": 0, "total": 2,
            "terms": [FALL, SPRING], "deletion_skipped": false, "partial": false, "failed_terms": [], "skipped_entries": 1})
    );
    assert_eq!(env.courses().await, ["CSC 171|Intro|-|t", "CSC 172|Data Structures|-|t"]);

    let before = env.rows().await;
    let again = env.sync().await;
    assert_eq!(counts(&again), [0, 0, 2, 0, 0, 2]);
    assert_eq!(env.rows().await, before, "not even updated_at moves");
}

#[tokio::test]
async fn a_title_changes_only_when_no_section_has_it_any_more() {
    let env = CatalogueEnv::new().await;
    env.serve(FALL, &[("CSC 1-1", "Topics: A", ""), ("CSC 2-1", "Old", "")]);
    env.serve(SPRING, &[("CSC 3-1", "Three", "")]);
    env.sync().await;
    env.serve(
        FALL,
        &[
            ("CSC 1-1", "Topics: A", ""),
            ("CSC 1-2", "Topics: B", ""),
            ("CSC 1-3", "Topics: B", ""),
            ("CSC 2-1", "New", ""),
        ],
    );
    assert_eq!(counts(&env.sync().await), [0, 1, 2, 0, 0, 3]);
    assert_eq!(env.courses().await, ["CSC 1|Topics: A|-|t", "CSC 2|New|-|t", "CSC 3|Three|-|t"]);
}

#[tokio::test]
async fn stale_courses_go_unless_something_refers_to_them() {
    let env = CatalogueEnv::new().await;
    let all = entries(20);
    env.serve(FALL, &borrowed(&all));
    env.serve(SPRING, &[("MTH 1-1", "One", "")]);
    env.sync().await;
    let [lecture, document, chosen] =
        [env.course("CSC 17").await, env.course("CSC 18").await, env.course("CSC 19").await];
    let pool = &env.database.pool;
    sqlx::query("INSERT INTO lectures (course_id, panopto_url, stream_url) VALUES ($1, 'u', '')")
        .bind(lecture)
        .execute(pool)
        .await
        .expect("a lecture");
    let user = Uuid::new_v4();
    bedel_jobs::user::ensure_user_exists(&mut pool.acquire().await.expect("a connection"), user)
        .await
        .expect("a user");
    sqlx::query(
        "INSERT INTO documents (owner_id, course_id, filename, storage_key, checksum, mime_type, size_bytes)
         VALUES ($1, $2, 'f', 'k', 'c', 'm', 1)",
    )
    .bind(user)
    .bind(document)
    .execute(pool)
    .await
    .expect("a document");
    sqlx::query("INSERT INTO user_courses (user_id, course_id) VALUES ($1, $2)")
        .bind(user)
        .bind(chosen)
        .execute(pool)
        .await
        .expect("a choice");

    // 17 of 21 are left: 81 %.
    env.serve(FALL, &borrowed(&all[..32]));
    let args = CourseSync { dry_run: true, ..CourseSync::default() };
    let before = env.rows().await;
    let dry = env.sync_with(&args).await;
    assert_eq!(counts(&dry), [0, 0, 17, 1, 3, 17]);
    assert_eq!(env.rows().await, before, "a dry run leaves no trace");

    let real = env.sync().await;
    assert_eq!(real, dry, "a dry run says what the real one does");
    let courses = env.courses().await;
    assert_eq!(courses.len(), 20);
    for code in ["CSC 17|Course 17|-|f", "CSC 18|Course 18|-|f", "CSC 19|Course 19|-|f"] {
        assert!(courses.contains(&code.to_owned()), "{code} in {courses:?}");
    }
    assert_eq!(env.course("CSC 17").await, lecture, "the id stays");

    // Courses that return become official again, in the same rows.
    env.serve(FALL, &borrowed(&all));
    assert_eq!(counts(&env.sync().await), [1, 3, 17, 0, 0, 21]);
    assert_eq!(env.course("CSC 18").await, document);
    assert!(env.courses().await.iter().all(|course| course.ends_with("|t")));
}

#[tokio::test]
async fn four_fifths_must_still_be_there() {
    let env = CatalogueEnv::new().await;
    let all = entries(5);
    env.serve(FALL, &borrowed(&all));
    env.serve(SPRING, &borrowed(&all[..2]));
    env.sync().await;

    env.serve(FALL, &borrowed(&all[..6]));
    let refused = env.sync().await;
    assert_eq!((counts(&refused), &refused["deletion_skipped"]), ([0, 0, 3, 0, 0, 3], &json!(true)));
    assert_eq!(env.courses().await.len(), 5);

    env.serve(FALL, &borrowed(&all[..8]));
    let granted = env.sync().await;
    assert_eq!((counts(&granted), &granted["deletion_skipped"]), ([0, 0, 4, 1, 0, 4], &json!(false)));
}

#[tokio::test]
async fn a_renumbering_deletes_nothing_however_many_courses_came() {
    let env = CatalogueEnv::new().await;
    env.serve(FALL, &borrowed(&entries(10)));
    env.serve(SPRING, &[("CSC 1-1", "Course 1", "")]);
    env.sync().await;
    let renamed: Vec<_> =
        entries(30).into_iter().map(|(code, title)| (code.replace("CSC", "COMP"), title)).collect();
    env.serve(FALL, &borrowed(&renamed));
    let result = env.sync().await;
    assert_eq!((counts(&result), &result["deletion_skipped"]), ([30, 0, 1, 0, 0, 31], &json!(true)));
    assert_eq!(env.courses().await.len(), 40);
}

#[tokio::test]
async fn what_users_made_stays_theirs() {
    let env = CatalogueEnv::new().await;
    env.user_course("CSC 1", "My notes", Some("Me")).await;
    env.user_course("csc  2", "My other notes", None).await;
    env.user_course("CSC 3", "Three", Some("Me")).await;
    env.user_course("XYZ 1", "Not in the catalogue", None).await;
    let catalogue = [
        ("CSC 1-1", "One", "A"),
        ("CSC 2-1", "Two", "B"),
        ("CSC 3-1", "Three", "C"),
        ("CSC 4-1", "Four", "D"),
    ];
    env.serve(FALL, &catalogue);
    env.serve(SPRING, &catalogue);
    let result = env.sync().await;
    assert_eq!(counts(&result), [1, 1, 2, 0, 0, 4]);
    assert_eq!(
        env.courses().await,
        [
            "CSC 1|My notes|Me|f",
            "CSC 3|Three|Me|t",
            "CSC 4|Four|-|t",
            "XYZ 1|Not in the catalogue|-|f",
            "csc  2|My other notes|-|f",
        ]
    );
    assert_eq!(counts(&env.sync().await), [0, 0, 4, 0, 0, 4]);
}

#[tokio::test]
async fn instructors_come_only_where_configured_and_never_go() {
    let env = CatalogueEnv::with(|catalogue| catalogue.sync_instructors = true).await;
    env.user_course("CSC 2", "Two", Some("Me")).await;
    env.serve(FALL, &[("CSC 1-1", "One", "B; A"), ("CSC 2-1", "Two", "C"), ("CSC 3-1", "Three", "")]);
    env.serve(SPRING, &[("CSC 1-1", "One", " A ;")]);
    env.sync().await;
    assert_eq!(env.courses().await, ["CSC 1|One|A; B|t", "CSC 2|Two|Me|t", "CSC 3|Three|-|t"]);

    env.serve(FALL, &[("CSC 1-1", "One", ""), ("CSC 2-1", "Two", ""), ("CSC 3-1", "Three", "D")]);
    env.serve(SPRING, &[("CSC 1-1", "One", "")]);
    assert_eq!(counts(&env.sync().await), [0, 1, 2, 0, 0, 3]);
    assert_eq!(env.courses().await, ["CSC 1|One|A; B|t", "CSC 2|Two|Me|t", "CSC 3|Three|D|t"]);
}

#[tokio::test]
async fn a_partial_fetch_adds_and_deletes_nothing() {
    let page = b"<!DOCTYPE html><html><body>Sorry</body></html>".to_vec();
    let xhtml = b"<html xmlns=\"http://www.w3.org/1999/xhtml\"><body><p>Sorry</p></body></html>".to_vec();
    let good = document(&[("CSC 3-1", "Three", ""), ("CSC 4-1", "Four", "")]);
    let bombs =
        b"<!DOCTYPE c [<!ENTITY a \"a\">]><c><course><cn>CSC 9</cn><title>&a;</title></course></c>".to_vec();
    for (what, answer) in [
        ("error status", Answer::Body(StatusCode::INTERNAL_SERVER_ERROR, page.clone())),
        ("web page", Answer::Body(StatusCode::OK, page)),
        ("web page that is XML", Answer::Body(StatusCode::OK, xhtml)),
        ("no courses", Answer::Body(StatusCode::OK, document(&[]))),
        ("document type definition", Answer::Body(StatusCode::OK, bombs)),
        ("half, well sent", Answer::Body(StatusCode::OK, good[..good.len() / 2].to_vec())),
        ("half, cut", Answer::Half(good)),
        ("endless", Answer::Endless),
    ] {
        let env = CatalogueEnv::new().await;
        let all = entries(5);
        env.serve(FALL, &borrowed(&all));
        env.serve(SPRING, &[("MTH 1-1", "One", "")]);
        env.sync().await;
        // Only MTH 1 would be stale, so the four fifths are no obstacle.
        env.serve(FALL, &borrowed(&[all.clone(), vec![("MTH 2-1".to_owned(), "Two".to_owned())]].concat()));
        env.answer(SPRING, answer);
        let result = env.sync().await;
        assert_eq!(counts(&result), [1, 0, 5, 0, 0, 6], "{what}");
        assert_eq!(result["partial"], json!(true), "{what}");
        assert_eq!(result["failed_terms"], json!([SPRING]), "{what}");
        assert_eq!(result["deletion_skipped"], json!(true), "{what}");
        assert_eq!(env.courses().await.len(), 7, "{what}");
    }
}

#[tokio::test]
async fn without_any_term_nothing_changes_and_the_job_is_tried_again() {
    let env = CatalogueEnv::new().await;
    env.answer(FALL, Answer::Body(StatusCode::BAD_GATEWAY, Vec::new()));
    let job = env.attempt(&CourseSync::default()).await;
    assert_eq!((job.state, job.errors), (JobState::Available, 1));
    assert_eq!(job.failures[0].class, "catalogue");
    let message = &job.failures[0].message;
    assert!(message.contains("Fall 2026: ") && message.contains("status 502"), "{message}");
    assert!(message.contains("Spring 2027: the catalogue lists no courses"), "{message}");
    assert!(!message.contains("XMLQuery"), "{message}");
    assert_eq!(env.courses().await, Vec::<String>::new());
}

#[tokio::test]
async fn terms_of_the_args_replace_the_configured_ones() {
    let env = CatalogueEnv::new().await;
    env.serve("Summer 2020", &[("CSC 1-1", "One", "")]);
    let args = CourseSync { terms: Some(vec!["20204".to_owned(), "summer 2020".to_owned()]), dry_run: false };
    let result = env.sync_with(&args).await;
    assert_eq!(result["terms"], json!(["Summer 2020"]));
    let args = CourseSync { terms: Some(vec!["Sumer 2020".to_owned()]), dry_run: false };
    let job = env.attempt(&args).await;
    assert_eq!(job.state, JobState::Discarded);
    assert_eq!(job.failures[0].class, "bad-term");
}

#[tokio::test]
async fn without_configured_terms_the_date_decides() {
    let env = CatalogueEnv::with(|catalogue| catalogue.terms.clear()).await;
    for year in 2020..2100 {
        env.serve(&format!("Fall {year}"), &[("CSC 1-1", "One", "")]);
        env.serve(&format!("Spring {year}"), &[("CSC 1-1", "One", "")]);
    }
    let result = env.sync().await;
    let (year, month): (i32, i32) = sqlx::query_as(
        "SELECT extract(year FROM now() AT TIME ZONE 'UTC')::int, extract(month FROM now() AT TIME ZONE 'UTC')::int",
    )
    .fetch_one(&env.database.pool)
    .await
    .expect("today");
    let expected = if month < 8 {
        json!([format!("Spring {year}"), format!("Fall {year}")])
    } else {
        json!([format!("Fall {year}"), format!("Spring {}", year + 1)])
    };
    assert_eq!(result["terms"], expected);
}

/// A user chooses a stale course concurrently: the sync waits and keeps the course.
#[tokio::test]
async fn a_concurrent_choice_keeps_the_course() {
    let env = CatalogueEnv::new().await;
    let all = entries(6);
    env.serve(FALL, &borrowed(&all));
    env.serve(SPRING, &[("CSC 1-1", "Course 1", "")]);
    env.sync().await;
    env.serve(FALL, &borrowed(&all[..10]));
    let course = env.course("CSC 6").await;
    let user = Uuid::new_v4();
    let mut choosing = env.database.pool.begin().await.expect("a transaction");
    bedel_jobs::user::ensure_user_exists(&mut choosing, user).await.expect("a user");
    sqlx::query("INSERT INTO user_courses (user_id, course_id) VALUES ($1, $2)")
        .bind(user)
        .bind(course)
        .execute(&mut *choosing)
        .await
        .expect("a choice");
    let commit_when_waited_for = async {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let waiting: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%course_sync::%')",
            )
            .fetch_one(&env.database.pool)
            .await
            .expect("activity");
            if waiting {
                break;
            }
            assert!(Instant::now() < deadline, "the sync did not wait for the choice");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        choosing.commit().await.expect("a commit");
    };
    let (result, ()) = tokio::join!(env.sync(), commit_when_waited_for);
    assert_eq!(counts(&result), [0, 0, 5, 0, 1, 5]);
    assert_eq!(env.course("CSC 6").await, course);
    let links: i64 = sqlx::query_scalar("SELECT count(*) FROM user_courses")
        .fetch_one(&env.database.pool)
        .await
        .expect("links");
    assert_eq!(links, 1);
}

#[tokio::test]
async fn a_large_term_takes_a_handful_of_statements() {
    let env = CatalogueEnv::new().await;
    let many = entries(5000);
    env.serve(FALL, &borrowed(&many));
    env.serve(SPRING, &[("MTH 1-1", "One", "")]);
    let begun = Instant::now();
    assert_eq!(counts(&env.sync().await), [5001, 0, 0, 0, 0, 5001]);
    assert_eq!(counts(&env.sync().await), [0, 0, 5001, 0, 0, 5001]);
    assert!(begun.elapsed() < Duration::from_secs(20), "took {:?}", begun.elapsed());
}
