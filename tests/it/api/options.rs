//! How lectures are transcribed: options of submissions, defaults of courses, and transcribing again.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Answering, App, COURSE, SESSION, submission, viewer};

async fn options(app: &App, user: usize, lecture: Uuid) -> Value {
    app.get(user, &format!("/api/lectures/{lecture}/options")).await.expect(200).json()
}

/// A submission of the usual recording with these options.
fn with(options: &Value) -> Value {
    let mut body = submission();
    body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    body
}

fn all() -> Value {
    json!({
        "language": "de", "vocabulary": ["Eigenwert", "Krebs cycle"], "engine": "openai", "model": "whisper-1",
    })
}

fn none() -> Value {
    json!({ "language": null, "vocabulary": null, "engine": null, "model": null })
}

async fn transcribe(app: &App, user: usize, lecture: Uuid, options: &Value) -> Answer {
    app.request(user, Method::POST, &format!("/api/lectures/{lecture}/transcribe"))
        .json(options)
        .answer()
        .await
}

async fn set_defaults(app: &App, user: Option<usize>, course: Uuid, options: &Value) -> Answer {
    let path = format!("/api/courses/{course}/defaults");
    let request = match user {
        Some(user) => app.request(user, Method::PUT, &path),
        None => app.admin(Method::PUT, &path),
    };
    request.json(options).answer().await
}

/// The course of the usual submission.
async fn course(app: &App) -> Uuid {
    let id: Uuid = COURSE.parse().unwrap();
    app.execute("INSERT INTO courses (id, code, title) VALUES ($1, 'CSC 173', 'Systems')", id).await;
    id
}

/// Discards the live job of a completed lecture, which the hook leaves as it is.
async fn discard(app: &App, lecture: Uuid) {
    app.execute(
        "UPDATE queue.jobs SET state = 'discarded', finalized_at = now(), lease = NULL, worker_id = NULL
         WHERE subject = $1 AND state IN ('available', 'running')",
        lecture,
    )
    .await;
}

const JOB: &str = "SELECT kind || ' ' || args::text FROM queue.jobs WHERE id = $1";

#[tokio::test]
async fn a_submission_an_upload_and_a_batch_store_their_options() {
    let app = App::start().await;
    let submitted = app.submit(0, &with(&all())).await.expect(201).id("lecture_id");
    assert_eq!(options(&app, 0, submitted).await, all());
    app.get(1, &format!("/api/lectures/{submitted}/options")).await.problem(404, "not_found");

    let mut metadata = json!({ "session_id": Uuid::new_v4(), "course_id": COURSE });
    metadata.as_object_mut().unwrap().extend(all().as_object().unwrap().clone());
    let audio =
        Part::bytes(&b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"[..]).file_name("a.mp4").mime_str("audio/mp4");
    let form = Form::new().part("audio", audio.unwrap()).text("metadata", metadata.to_string());
    let uploaded = super::audio::upload(&app, 0, form).await.expect(200).id("lecture_id");
    assert_eq!(options(&app, 0, uploaded).await, all());

    let lecture = |own: Value| {
        let mut body = with(&own);
        body["panopto_url"] = viewer(&Uuid::new_v4().to_string()).into();
        body
    };
    let body = json!({
        "lectures": [lecture(json!({})), lecture(json!({ "language": "French", "vocabulary": [] })),
                     lecture(json!({ "language": "Klingon" }))],
        "language": "de", "vocabulary": ["Eigenwert", "Krebs cycle"], "engine": "openai", "model": "whisper-1",
    });
    let results = app.request(0, Method::POST, "/api/lectures/batch").json(&body).answer().await.expect(200);
    let results = results.json()["results"].clone();
    let id = |index: usize| results[index]["lecture_id"].as_str().unwrap().parse::<Uuid>().unwrap();
    assert_eq!(options(&app, 0, id(0)).await, all());
    let own = json!({ "language": "fr", "vocabulary": [], "engine": "openai", "model": "whisper-1" });
    assert_eq!(options(&app, 0, id(1)).await, own);
    assert_eq!(results[2]["error"]["errors"][0]["field"], "language");
    let body = json!({ "lectures": [lecture(json!({}))], "engine": "siri" });
    let refused = app.request(0, Method::POST, "/api/lectures/batch").json(&body).answer().await;
    assert_eq!(refused.problem(422, "invalid")["errors"][0]["field"], "engine");
}

#[tokio::test]
async fn each_invalid_option_is_named() {
    let app = App::start().await;
    let course = course(&app).await;
    let lecture = app.submit(1, &submission()).await.expect(201).id("lecture_id");
    app.set_completed(lecture).await;
    for (field, bad) in [
        ("language", json!({ "language": "Klingon" })),
        ("language", json!({ "language": 1 })),
        ("vocabulary", json!({ "vocabulary": "eigenvalue" })),
        ("vocabulary", json!({ "vocabulary": [1] })),
        ("vocabulary", json!({ "vocabulary": vec!["x"; 201] })),
        ("vocabulary", json!({ "vocabulary": ["x".repeat(65)] })),
        ("vocabulary", json!({ "vocabulary": ["a\u{7}b"] })),
        ("vocabulary", json!({ "vocabulary": ["a\u{0}"] })),
        ("engine", json!({ "engine": "siri" })),
        ("model", json!({ "model": "/etc/passwd" })),
        ("model", json!({ "model": "x".repeat(101) })),
    ] {
        for answer in [
            app.submit(0, &with(&bad)).await,
            transcribe(&app, 1, lecture, &bad).await,
            set_defaults(&app, Some(0), course, &bad).await,
        ] {
            let refused = answer.problem(422, "invalid");
            assert_eq!(refused["errors"][0]["field"], field, "{bad}: {refused}");
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE user_id = $1", app.users[0]).await, 0);
    assert_eq!(app.live_jobs(lecture).await, 0);
    let several = json!({ "language": "Klingon", "vocabulary": ["x".repeat(65)], "model": "a b" });
    let refused = app.submit(0, &with(&several)).await.problem(422, "invalid");
    let fields: Vec<_> = refused["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["language", "vocabulary", "model"]);
    // As many and as long as allowed, in characters of four bytes.
    let terms: Vec<String> = (0..200).map(|n| format!("{n:03}{}", "\u{1d6fc}".repeat(61))).collect();
    app.submit(0, &with(&json!({ "vocabulary": terms }))).await.expect(200);
}

#[tokio::test]
async fn a_submission_wins_over_the_users_defaults_and_those_over_the_courses() {
    let app = App::start().await;
    let course = course(&app).await;
    let everybody = json!({ "language": "en", "vocabulary": ["Fourier"], "model": "base" });
    set_defaults(&app, None, course, &everybody).await.expect(200);
    let own = set_defaults(&app, Some(0), course, &json!({ "language": "fr" })).await.expect(200).json();
    assert_eq!(own["own"]["language"], "fr");
    assert_eq!(own["course"]["language"], "en");
    let effective = json!({ "language": "fr", "vocabulary": ["Fourier"], "engine": null, "model": "base" });
    assert_eq!(own["effective"], effective);
    let theirs = app.get(1, &format!("/api/courses/{course}/defaults")).await.expect(200).json();
    assert_eq!((&theirs["own"], &theirs["effective"]["language"]), (&none(), &json!("en")));

    let submitted = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    assert_eq!(options(&app, 0, submitted).await, effective);
    let mut body = with(&json!({ "vocabulary": [], "language": "de" }));
    body["panopto_url"] = viewer(&Uuid::new_v4().to_string()).into();
    let submitted = app.submit(0, &body).await.expect(201).id("lecture_id");
    let expected = json!({ "language": "de", "vocabulary": [], "engine": null, "model": "base" });
    assert_eq!(options(&app, 0, submitted).await, expected);

    // A later change reaches only later lectures, and a replacement unsets what it leaves out.
    set_defaults(&app, None, course, &json!({ "engine": "task" })).await.expect(200);
    assert_eq!(options(&app, 0, submitted).await, expected);
    let now = app.get(1, &format!("/api/courses/{course}/defaults")).await.expect(200).json();
    assert_eq!(
        now["effective"],
        json!({ "language": null, "vocabulary": null, "engine": "task", "model": null })
    );
    set_defaults(&app, Some(0), Uuid::new_v4(), &json!({})).await.problem(404, "not_found");
}

#[tokio::test]
async fn another_users_submission_changes_no_options() {
    let app = App::start().await;
    let id = app.submit(0, &with(&json!({ "language": "de" }))).await.expect(201).id("lecture_id");
    let first = options(&app, 0, id).await;
    app.submit(1, &with(&json!({ "language": "fr", "model": "base" }))).await.expect(200);
    assert_eq!(options(&app, 0, id).await, first);
    // A linked user sets what is not set, while the lecture is not completed.
    app.submit(1, &with(&json!({ "language": "fr", "model": "base" }))).await.expect(200);
    let filled = json!({ "language": "de", "vocabulary": null, "engine": null, "model": "base" });
    assert_eq!(options(&app, 0, id).await, filled);
    app.set_completed(id).await;
    app.submit(1, &with(&json!({ "vocabulary": ["x"] }))).await.expect(200);
    assert_eq!(options(&app, 0, id).await, filled);
}

#[tokio::test]
async fn a_completed_lecture_is_transcribed_again_and_stays_readable() {
    let app = App::start().await;
    let id = app.submit(0, &with(&json!({ "language": "en" }))).await.expect(201).id("lecture_id");
    transcribe(&app, 0, id, &json!({})).await.problem(409, "conflict");
    app.set_completed(id).await;
    transcribe(&app, 1, id, &json!({})).await.problem(404, "not_found");
    let answer = transcribe(&app, 0, id, &json!({ "model": "base" })).await.expect(202);
    let job = answer.id("job_id");
    assert_eq!(answer.json(), json!({ "lecture_id": id, "status": "completed", "job_id": job }));
    let args = format!("transcribe {{\"lecture_id\": \"{id}\"}}");
    assert_eq!(app.text(JOB, job).await, Some(args.clone()));
    let expected = json!({ "language": "en", "vocabulary": null, "engine": null, "model": "base" });
    assert_eq!(options(&app, 0, id).await, expected);

    app.set_running(id).await;
    let shown = app.get(0, &format!("/api/lectures/{id}")).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["stage"]), (&json!("completed"), &json!("transcribe")));
    assert_eq!((&shown["progress"], &shown["has_transcript"]), (&json!(0.25), &json!(true)));
    assert_eq!(shown["job_id"], json!(job));
    for answer in [transcribe(&app, 0, id, &json!({ "language": "de" })).await, app.retry(0, id).await] {
        answer.problem(409, "conflict");
    }
    assert_eq!(options(&app, 0, id).await, expected, "a refused request changes nothing");

    // It fails, and is retried with the same options.
    discard(&app, id).await;
    let shown = app.get(0, &format!("/api/lectures/{id}")).await.expect(200).json();
    assert_eq!((&shown["status"], &shown["stage"]), (&json!("completed"), &Value::Null));
    let retried = app.retry(0, id).await.expect(202).id("job_id");
    assert_eq!(app.text(JOB, retried).await, Some(args));
    assert_eq!(options(&app, 0, id).await, expected);
    let status = "SELECT status::text FROM lectures WHERE id = $1";
    assert_eq!(app.text(status, id).await.as_deref(), Some("completed"));

    // It is cancelled, retried as a job, and completes.
    app.request(0, Method::POST, &format!("/api/lectures/{id}/cancel")).answer().await.expect(202);
    assert_eq!(app.text(status, id).await.as_deref(), Some("completed"));
    app.admin(Method::POST, &format!("/api/jobs/{retried}/retry")).answer().await.expect(202);
    assert_eq!(app.live_jobs(id).await, 1);
    app.set_completed(id).await;
    app.retry(0, id).await.problem(409, "conflict");
    app.request(0, Method::POST, &format!("/api/lectures/{id}/cancel"))
        .answer()
        .await
        .problem(409, "conflict");
}

#[tokio::test]
async fn a_transcript_that_others_read_is_made_again_by_admins_alone() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    app.submit(1, &submission()).await.expect(200);
    app.set_completed(id).await;
    for user in [0, 1] {
        transcribe(&app, user, id, &json!({ "language": "fr" })).await.problem(409, "conflict");
    }
    assert_eq!(options(&app, 0, id).await, none());
    let path = format!("/api/lectures/{id}/transcribe");
    app.admin(Method::POST, &path).json(&json!({ "language": "en" })).answer().await.expect(202);
}

#[tokio::test]
async fn without_its_audio_a_lecture_begins_where_its_input_exists() {
    let app = App::start().await;
    let stream = json!({ "stream_url": "https://media.example.org/a.mp4" });
    let id = app.submit(0, &with(&stream)).await.expect(201).id("lecture_id");
    app.set_completed(id).await;
    for (change, kind) in [
        ("UPDATE lectures SET duration_seconds = NULL WHERE id = $1", "probe"),
        ("UPDATE lectures SET audio_storage_key = NULL WHERE id = $1", "submit"),
    ] {
        app.execute(change, id).await;
        let job = transcribe(&app, 0, id, &json!({})).await.expect(202).id("job_id");
        let started = app.text(JOB, job).await.unwrap();
        assert!(started.starts_with(kind), "{started}");
        let row = app.get(0, &format!("/api/lectures/{id}")).await.expect(200).json();
        assert_eq!((&row["status"], &row["has_transcript"]), (&json!("completed"), &json!(true)));
        discard(&app, id).await;
    }
    app.execute("UPDATE lectures SET status = 'failed' WHERE id = $1", id).await;
    let answer = transcribe(&app, 0, id, &json!({ "language": "de" })).await.expect(202).json();
    assert_eq!(answer["status"], "pending");
    assert_eq!(options(&app, 0, id).await["language"], "de");
}

#[tokio::test]
async fn a_retry_keeps_the_engine_and_model_of_a_jobs_args() {
    let app = App::start().await;
    let id = app.submit(0, &with(&json!({ "language": "en" }))).await.expect(201).id("lecture_id");
    app.set_completed(id).await;
    let body =
        json!({ "kind": "transcribe", "args": { "lecture_id": id, "engine": "openai", "model": "large" } });
    app.admin(Method::POST, "/api/jobs").json(&body).answer().await.expect(201);
    assert_eq!(options(&app, 0, id).await["model"], Value::Null, "the args are the job's alone");
    discard(&app, id).await;
    app.retry(0, id).await.expect(202);
    let kept = json!({ "language": "en", "vocabulary": null, "engine": "openai", "model": "large" });
    assert_eq!(options(&app, 0, id).await, kept);
}

#[tokio::test]
async fn a_failed_lecture_keeps_its_options_at_every_restart() {
    let app = App::start().await;
    let id = app.submit(0, &with(&all())).await.expect(201).id("lecture_id");
    app.set_failed(id).await;
    app.retry(0, id).await.expect(202);
    assert_eq!(options(&app, 0, id).await, all());
    app.set_failed(id).await;
    app.submit(1, &json!({ "course_id": COURSE, "panopto_url": viewer(SESSION) })).await.expect(200);
    assert_eq!(options(&app, 0, id).await, all());
    app.delete(1, id).await.expect(204);
    app.delete(0, id).await.expect(204);
    assert_eq!(app.count("SELECT count(*) FROM lecture_options WHERE lecture_id = $1", id).await, 0);
}
