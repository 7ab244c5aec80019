//! Submitting and reading lectures.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{App, COURSE, SESSION, submission, viewer};

#[tokio::test]
async fn a_first_submission_makes_user_lecture_link_and_job() {
    let app = App::start().await;
    let answer = app.submit(0, &submission()).await.expect(201);
    let body = answer.json();
    assert_eq!(body["status"], "pending");
    assert_eq!(body["created"], true);
    let (lecture, job) = (answer.id("lecture_id"), answer.id("job_id"));

    assert_eq!(app.count("SELECT count(*) FROM users WHERE id = $1", app.users[0]).await, 1);
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE lecture_id = $1", lecture).await, 1);
    let (kind, key): (String, String) =
        sqlx::query_as("SELECT kind, unique_key FROM queue.jobs WHERE id = $1 AND subject = $2")
            .bind(job)
            .bind(lecture)
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!((kind.as_str(), key), ("submit", format!("lecture:{lecture}")));
}

#[tokio::test]
async fn the_same_recording_again_is_the_same_lecture_and_job() {
    let app = App::start().await;
    let first = app.submit(0, &submission()).await.expect(201);
    // Another URL of the same recording, with another spelling of its id.
    let embed = format!(
        "https://rochester.hosted.panopto.com/Panopto/Pages/Embed.aspx?start=3&id={}",
        SESSION.to_uppercase()
    );
    for user in [0, 1] {
        let again = app.submit(user, &json!({ "course_id": COURSE, "panopto_url": embed })).await.expect(200);
        assert_eq!(again.json()["created"], false);
        assert_eq!(again.id("lecture_id"), first.id("lecture_id"));
        assert_eq!(again.id("job_id"), first.id("job_id"));
    }
    let lecture = first.id("lecture_id");
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE lecture_id = $1", lecture).await, 2);
    // In another course it is another lecture.
    let elsewhere = json!({ "course_id": Uuid::new_v4(), "panopto_url": viewer(SESSION) });
    assert_ne!(app.submit(0, &elsewhere).await.expect(201).id("lecture_id"), lecture);
}

#[tokio::test]
async fn a_lecture_is_shown_with_all_its_fields() {
    let app = App::start().await;
    let body = json!({
        "course_id": COURSE,
        "panopto_url": viewer(SESSION),
        "stream_url": "https://media.example.org/a.mp4?sig=1",
        "title": "  Week 1 \u{1F600} ",
        "unknown": [1, 2, 3],
    });
    let submitted = app.submit(0, &body).await.expect(201);
    let id = submitted.id("lecture_id");
    let shown = app.get(0, &format!("/api/lectures/{id}")).await.expect(200);
    assert_eq!(shown.header("content-type"), "application/json");
    let mut shown = shown.json();
    for time in ["created_at", "updated_at"] {
        let text = shown.as_object_mut().unwrap().remove(time).unwrap();
        assert!(text.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{text}");
    }
    let expected = json!({
        "id": id, "course_id": COURSE, "panopto_session_id": SESSION, "panopto_url": viewer(SESSION),
        "stream_url": "https://media.example.org/a.mp4", "title": "Week 1 \u{1F600}", "duration_seconds": null,
        "status": "pending", "error_message": null, "stage": "submit", "progress": null,
        "seconds_left": null, "job_id": submitted.id("job_id"), "has_transcript": false,
    });
    assert_eq!(shown, expected);
    // Only the download needs the signature.
    let stored = app.text("SELECT stream_url FROM lectures WHERE id = $1", id).await;
    assert_eq!(stored.as_deref(), Some("https://media.example.org/a.mp4?sig=1"));
}

#[tokio::test]
async fn an_unresolved_stream_is_null() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    assert_eq!(
        app.get(0, &format!("/api/lectures/{id}")).await.expect(200).json()["stream_url"],
        Value::Null
    );
}

/// SQL may write any checkpoint, args and times into a job: the lecture and the lists stay readable.
#[tokio::test]
async fn a_job_that_holds_odd_values_hides_no_lecture() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.set_running(id).await;
    for change in [
        r#"UPDATE queue.jobs SET kind = 'transcribe', checkpoint = '{"of": "many", "speed": "fast"}' WHERE subject = $1"#,
        r#"UPDATE queue.jobs SET checkpoint = '{"of": 1e400, "speed": 1e-400}' WHERE subject = $1"#,
        r#"UPDATE queue.jobs SET checkpoint = '{"of": -1e300, "speed": 5}' WHERE subject = $1"#,
        "UPDATE queue.jobs SET checkpoint = '[1]', args = '[1e400]' WHERE subject = $1",
        "UPDATE queue.jobs SET run_at = '-infinity', created_at = 'infinity', give_up_at = 'infinity' WHERE subject = $1",
        "UPDATE queue.jobs SET attempted_at = '-infinity', state = 'running' WHERE subject = $1",
        "UPDATE queue.jobs SET state = 'discarded', finalized_at = 'infinity' WHERE subject = $1",
    ] {
        app.execute(change, id).await;
        let lecture = app.get(0, &format!("/api/lectures/{id}")).await.expect(200).json();
        assert_eq!(lecture["seconds_left"], Value::Null, "{change}");
        app.get(0, "/api/lectures").await.expect(200);
    }
    app.execute("UPDATE lectures SET status = 'failed', error_message = 'it is gone' WHERE id = $1", id)
        .await;
    app.retry(0, id).await.expect(202);
}

#[tokio::test]
async fn the_status_follows_the_live_job() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let path = format!("/api/lectures/{id}/status");
    let status = |stage: Value, progress: Value, status: &str, error: Value, duration: Value| {
        json!({
            "lecture_id": id, "status": status, "error_message": error, "duration_seconds": duration,
            "stage": stage, "progress": progress, "seconds_left": null,
        })
    };
    app.set_running(id).await;
    let running = app.get(0, &path).await.expect(200).json();
    assert_eq!(running, status(json!("submit"), json!(0.25), "pending", Value::Null, Value::Null));

    // The remaining time of a transcription follows from its progress.
    app.execute(
        r#"UPDATE queue.jobs SET kind = 'transcribe', checkpoint = '{"of": 4000, "speed": 12.5}' WHERE subject = $1"#,
        id,
    )
    .await;
    let left = app.get(0, &format!("/api/lectures/{id}")).await.expect(200).json();
    assert_eq!((&left["progress"], &left["seconds_left"]), (&json!(0.25), &json!(240)));
    app.execute("UPDATE queue.jobs SET kind = 'submit', checkpoint = NULL WHERE subject = $1", id).await;

    app.set_failed(id).await;
    let failed = app.get(0, &path).await.expect(200).json();
    assert_eq!(failed, status(json!("submit"), Value::Null, "failed", json!("it is gone"), Value::Null));

    app.retry(0, id).await.expect(202);
    app.set_completed(id).await;
    app.execute("UPDATE lectures SET error_message = NULL WHERE id = $1", id).await;
    let completed = app.get(0, &path).await.expect(200).json();
    assert_eq!(completed, status(Value::Null, Value::Null, "completed", Value::Null, json!(61)));
}
