//! Operators' views and actions.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Answering, App, submission};

async fn get(app: &App, path: &str) -> Value {
    app.admin(Method::GET, path).answer().await.expect(200).json()
}

async fn post(app: &App, path: &str) -> Answer {
    app.admin(Method::POST, path).answer().await
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == name)
        .unwrap_or_else(|| panic!("{name} in {list}"))
}

#[tokio::test]
async fn queues_are_counted_paused_and_resumed() {
    let app = App::start().await;
    app.submit(0, &submission()).await.expect(201);
    let queues = get(&app, "/api/queues").await;
    let panopto = named(&queues, "panopto");
    assert_eq!(
        (&panopto["available"], &panopto["paused"], &panopto["at_least"]),
        (&json!(1), &json!(false), &json!(false))
    );
    assert!(panopto["oldest_run_at"].is_string(), "{panopto}");
    named(&queues, "speech");
    let paused = post(&app, "/api/queues/panopto/pause").await.expect(200).json();
    assert_eq!((&paused["name"], &paused["paused"]), (&json!("panopto"), &json!(true)));
    assert_eq!(named(&get(&app, "/api/queues").await, "panopto"), &paused);
    let resumed = post(&app, "/api/queues/panopto/resume").await.expect(200).json();
    assert_eq!(resumed["paused"], false);
    for name in ["panoptO", "%00", "%ff", "x%2Fy"] {
        for verb in ["pause", "resume"] {
            post(&app, &format!("/api/queues/{name}/{verb}")).await.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn hosts_in_trouble_are_listed_and_those_that_are_down_are_counted() {
    let app = App::start().await;
    assert_eq!(get(&app, "/api/breakers").await, json!([]));
    sqlx::raw_sql(
        "INSERT INTO queue.breakers (group_key, failures, failed_at, opened_at, probe_at, probes, class, message)
         VALUES ('cdn.example', 2, now(), NULL, NULL, 0, 'network', 'refused'),
                ('down.example', 5, now(), now() - interval '1 hour', now(), 3, 'timeout', 'silent for 60 s'),
                ('webhook:00000000-0000-0000-0000-000000000001', 5, now(), now(), now(), 0, 'network', 'refused'),
                ('callbacks:00000000-0000-0000-0000-000000000002:hooks.test:443', 5, now(), now(), now(), 0, 'network',
                 'refused')",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let listed = get(&app, "/api/breakers").await;
    let (down, counted) = (&listed[0], &listed[3]);
    assert_eq!(
        (&down["group"], &down["probes"], &down["class"]),
        (&json!("down.example"), &json!(3), &json!("timeout"))
    );
    assert!(down["opened_at"].is_string() && down["probe_at"].is_string(), "{down}");
    assert_eq!((&counted["group"], &counted["opened_at"]), (&json!("cdn.example"), &Value::Null));
    let metrics = app.anonymous(Method::GET, "/metrics").answer().await.expect(200).text;
    for line in ["bedel_hosts_down 1", "bedel_receivers_down 2"] {
        assert!(metrics.lines().any(|shown| shown == line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("down.example"), "metrics are public");
}

#[tokio::test]
async fn workers_are_listed_with_what_they_run() {
    let app = App::start().await;
    assert_eq!(get(&app, "/api/workers").await, json!([]));
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.set_running(lecture).await;
    sqlx::raw_sql("INSERT INTO queue.workers (id, name) SELECT worker_id, 'host:7' FROM queue.jobs WHERE state = 'running'")
        .execute(&app.pool)
        .await
        .unwrap();
    let workers = get(&app, "/api/workers").await;
    assert_eq!((&workers[0]["name"], &workers[0]["running"]), (&json!("host:7"), &json!(1)));
    assert!(
        workers[0]["silent_seconds"].as_f64().is_some_and(|seconds| (0.0..60.0).contains(&seconds)),
        "{workers}"
    );
}

#[tokio::test]
async fn a_schedule_runs_by_hand() {
    let app = App::start().await;
    post(&app, "/api/schedules/course-sync/run").await.problem(404, "not_found");
    sqlx::raw_sql("INSERT INTO queue.schedules (name, cron, last_tick) VALUES ('course-sync', '0 6 * * 1', now()), ('submit', '* * * * *', now())")
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(get(&app, "/api/schedules").await[0]["cron"], "0 6 * * 1");
    let first = post(&app, "/api/schedules/course-sync/run").await.expect(202);
    assert_eq!(first.json()["created"], true);
    let again = post(&app, "/api/schedules/course-sync/run").await.expect(202);
    assert_eq!((again.id("job_id"), &again.json()["created"]), (first.id("job_id"), &json!(false)));
    // A kind with required args has no schedule.
    post(&app, "/api/schedules/submit/run").await.problem(404, "not_found");
}

#[tokio::test]
async fn all_of_it_is_for_admins() {
    let app = App::start().await;
    for (method, path) in [
        (Method::GET, "/api/queues"),
        (Method::POST, "/api/queues/panopto/pause"),
        (Method::POST, "/api/queues/panopto/resume"),
        (Method::GET, "/api/breakers"),
        (Method::GET, "/api/workers"),
        (Method::GET, "/api/schedules"),
        (Method::POST, "/api/schedules/course-sync/run"),
        (Method::POST, "/api/jobs"),
        (Method::POST, "/api/jobs/00000000-0000-0000-0000-000000000001/retry"),
        (Method::POST, "/api/jobs/00000000-0000-0000-0000-000000000001/cancel"),
    ] {
        app.request(0, method.clone(), path).answer().await.problem(403, "forbidden");
        app.anonymous(method, path).answer().await.problem(401, "unauthenticated");
    }
}
