//! The API's metrics.

use std::time::{Duration, Instant};

use reqwest::Method;

use super::{Answering, App, submission};

#[tokio::test]
async fn metrics_show_requests_jobs_and_workers() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let metrics = app.anonymous(Method::GET, "/metrics").answer().await.expect(200);
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for line in [
        "bedel_jobs{kind=\"submit\",state=\"due\"} 1",
        "bedel_jobs{kind=\"transcribe\",state=\"running\"} 0",
        "bedel_oldest_due_job_age_seconds{kind=\"submit\"} 0",
        "bedel_http_requests_total{method=\"POST\",route=\"/api/lectures/download\",status=\"201\"}",
        "bedel_http_request_seconds_bucket{method=\"POST\",route=\"/api/lectures/download\",le=\"10\"}",
        "bedel_database_up 1",
    ] {
        assert!(metrics.text.lines().any(|found| found.starts_with(line)), "{line} in {}", metrics.text);
    }
    app.set_running(lecture).await;
    sqlx::raw_sql("INSERT INTO queue.workers (id, name) SELECT worker_id, 'host:7' FROM queue.jobs WHERE state = 'running'")
        .execute(&app.pool)
        .await
        .unwrap();
    // The database is read at most once every two seconds, for all scrapes.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = app.anonymous(Method::GET, "/metrics").answer().await.expect(200).text;
        let has = |line: &str| metrics.lines().any(|found| found == line);
        if has("bedel_jobs{kind=\"submit\",state=\"running\"} 1")
            && has("bedel_worker_running_jobs{worker=\"host:7\"} 1")
        {
            break;
        }
        assert!(Instant::now() < deadline, "{metrics}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn without_a_database_other_metrics_are_served() {
    let app = App::start().await;
    app.pool.close().await;
    let metrics = app.anonymous(Method::GET, "/metrics").answer().await.expect(200).text;
    assert!(metrics.contains("bedel_database_up 0") && !metrics.contains("bedel_jobs{"), "{metrics}");
}
