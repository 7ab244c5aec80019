//! Audio of a recording: uploaded by a client, then played.

use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Answering, App, COURSE, MAX_AUDIO_BYTES, SESSION, submission, viewer};

/// Head of an MP4 file, which is all that the API checks; the pipeline's tests check the rest.
pub(super) const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2mp41\0\0\0\0 and more";

pub(super) fn metadata() -> Value {
    json!({ "session_id": SESSION, "course_id": COURSE, "title": "Week 1", "duration": 61.5, "source_url": viewer(SESSION) })
}

pub(super) fn form(metadata: &Value, bytes: impl Into<Body>) -> Form {
    let audio =
        Part::stream(bytes).file_name(format!("{SESSION}.m4a")).mime_str("video/mp4").expect("a type");
    Form::new().part("audio", audio).text("metadata", metadata.to_string())
}

pub(super) async fn upload(app: &App, user: usize, form: Form) -> Answer {
    app.request(user, Method::POST, "/api/lectures/audio").multipart(form).answer().await
}

/// Stored uploads, as `lecture/upload` with their content.
pub(super) fn stored(app: &App) -> Vec<(String, Vec<u8>)> {
    let directory = app.directory.path().join("storage/audio_tmp");
    let Ok(lectures) = std::fs::read_dir(directory) else { return Vec::new() };
    let lectures = lectures.map(|entry| entry.unwrap().path());
    let files =
        lectures.flat_map(|lecture| std::fs::read_dir(lecture).unwrap().map(|entry| entry.unwrap().path()));
    files
        .map(|file| {
            let lecture = file.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
            assert!(file.file_name().unwrap().to_str().unwrap().starts_with("upload-"), "{file:?}");
            (lecture, std::fs::read(file).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn an_upload_makes_a_lecture_with_a_source_and_a_job() {
    let app = App::start().await;
    let answer = upload(&app, 0, form(&metadata(), MP4)).await.expect(200);
    let lecture = answer.id("lecture_id");
    let expected = json!({
        "lecture_id": lecture, "status": "pending", "created": true, "job_id": answer.id("job_id"), "audio_used": true,
    });
    assert_eq!(answer.json(), expected);
    let shown = app.get(0, &format!("/api/lectures/{lecture}")).await.expect(200).json();
    assert_eq!(shown["stream_url"], "audio_podcast");
    assert_eq!(shown["panopto_url"], viewer(SESSION));
    assert_eq!((&shown["title"], &shown["stage"]), (&json!("Week 1"), &json!("submit")));
    assert_eq!(stored(&app), [(lecture.to_string(), MP4.to_vec())]);
    // Submitting the same recording by link finds the lecture.
    assert_eq!(app.submit(1, &submission()).await.expect(200).id("lecture_id"), lecture);
}

#[tokio::test]
async fn the_metadata_may_come_first_and_say_little() {
    let app = App::start().await;
    let audio = Part::bytes(MP4).file_name("x").mime_str("application/octet-stream").unwrap();
    let little = json!({ "session_id": SESSION.to_uppercase(), "course_id": COURSE, "source_url": "https://example.org/" });
    let form = Form::new().text("metadata", little.to_string()).part("audio", audio);
    let lecture = upload(&app, 0, form).await.expect(200).id("lecture_id");
    let shown = app.get(0, &format!("/api/lectures/{lecture}")).await.expect(200).json();
    assert_eq!(shown["panopto_session_id"], SESSION);
    assert!(shown["panopto_url"].as_str().unwrap().contains(&SESSION.to_uppercase()), "{shown}");
}

#[tokio::test]
async fn unneeded_bytes_are_not_stored() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    // In progress.
    let answer = upload(&app, 1, form(&metadata(), MP4)).await.expect(200).json();
    assert_eq!((&answer["audio_used"], &answer["created"]), (&json!(false), &json!(false)));
    assert_eq!(answer["lecture_id"], json!(lecture));
    app.get(1, &format!("/api/lectures/{lecture}")).await.expect(200);
    app.set_completed(lecture).await;
    let answer = upload(&app, 1, form(&metadata(), MP4)).await.expect(200).json();
    assert_eq!((&answer["audio_used"], &answer["job_id"]), (&json!(false), &Value::Null));
    assert_eq!(stored(&app), []);
}

#[tokio::test]
async fn a_failed_lecture_starts_again_with_the_new_source() {
    let app = App::start().await;
    let lecture = upload(&app, 0, form(&metadata(), MP4)).await.expect(200).id("lecture_id");
    app.set_failed(lecture).await;
    app.execute(
        "UPDATE lectures SET audio_storage_key = 'audio/' || id || '.m4a', duration_seconds = 5 WHERE id = $1",
        lecture,
    )
    .await;
    let better = [MP4, b" and better"].concat();
    let answer = upload(&app, 1, form(&metadata(), better.clone())).await.expect(200);
    assert_eq!(answer.id("lecture_id"), lecture);
    let body = answer.json();
    assert_eq!(
        (&body["audio_used"], &body["created"], &body["status"]),
        (&json!(true), &json!(false), &json!("pending"))
    );
    assert_eq!(stored(&app), [(lecture.to_string(), better)]);
    let kind =
        app.text("SELECT kind FROM queue.jobs WHERE subject = $1 AND state = 'available'", lecture).await;
    assert_eq!(kind.as_deref(), Some("submit"), "what was made of the old source is not the new one's");
}

#[tokio::test]
async fn fifty_uploads_at_once_are_one_lecture_with_one_source() {
    let app = App::with_users(50).await;
    let answers =
        futures::future::join_all((0..50).map(|user| upload(&app, user, form(&metadata(), MP4)))).await;
    let lecture = answers[0].id("lecture_id");
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.id("lecture_id") == lecture));
    assert_eq!(answers.iter().filter(|answer| answer.json()["created"] == true).count(), 1);
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE lecture_id = $1", lecture).await, 50);
    assert_eq!(app.live_jobs(lecture).await, 1);
    assert_eq!(stored(&app), [(lecture.to_string(), MP4.to_vec())]);
    // Again for a failed lecture.
    app.set_failed(lecture).await;
    let answers =
        futures::future::join_all((0..50).map(|user| upload(&app, user, form(&metadata(), MP4)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.json()["audio_used"] == true).count(), 1);
    assert_eq!(app.live_jobs(lecture).await, 1);
    assert_eq!(stored(&app).len(), 1);
}

#[tokio::test]
async fn a_non_recording_is_refused_and_nothing_is_stored() {
    let app = App::start().await;
    for (bytes, says) in [
        (b"<html>sign in".as_slice(), "web page"),
        (b"#EXTM3U\n".as_slice(), "media"),
        (b"".as_slice(), "empty"),
    ] {
        let refused = upload(&app, 0, form(&metadata(), bytes)).await.problem(415, "unsupported_media");
        assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
    }
    let text = Part::bytes(MP4).file_name("x").mime_str("text/plain").unwrap();
    let text = Form::new().part("audio", text).text("metadata", metadata().to_string());
    upload(&app, 0, text).await.problem(415, "unsupported_media");
    for (field, metadata) in [
        ("metadata", json!("no object")),
        ("session_id", json!({ "course_id": COURSE })),
        ("session_id", json!({ "course_id": COURSE, "session_id": "no guid" })),
        ("session_id", json!({ "course_id": COURSE, "session_id": "a&id=\r\n#" })),
        ("course_id", json!({ "session_id": SESSION, "course_id": "x" })),
        ("title", json!({ "session_id": SESSION, "course_id": COURSE, "title": "x".repeat(501) })),
        ("title", json!({ "session_id": SESSION, "course_id": COURSE, "title": "\u{0}" })),
    ] {
        let refused = upload(&app, 0, form(&metadata, MP4)).await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
    let most = usize::try_from(MAX_AUDIO_BYTES).unwrap();
    let mut large = MP4.to_vec();
    large.resize(most + 1, 0);
    upload(&app, 0, form(&metadata(), large)).await.problem(413, "too_large");
    upload(&app, 0, Form::new().text("metadata", metadata().to_string())).await.problem(422, "invalid");
    let alone = Part::bytes(MP4).file_name("x").mime_str("audio/mp4").unwrap();
    upload(&app, 0, Form::new().part("audio", alone)).await.problem(422, "invalid");
    assert_eq!(stored(&app), []);
    assert_eq!(app.count("SELECT count(*) FROM user_lectures WHERE user_id = $1", app.users[0]).await, 0);
}

#[tokio::test]
async fn the_sound_is_read_whole_and_in_parts() {
    let app = App::start().await;
    let lecture = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let path = format!("/api/lectures/{lecture}/audio");
    app.get(0, &path).await.problem(404, "not_ready");
    app.set_completed(lecture).await;
    app.get(0, &path).await.problem(404, "not_found");
    app.storage
        .put_bytes(&format!("audio/{lecture}.m4a"), bytes::Bytes::from_static(b"0123456789"))
        .await
        .unwrap();
    let whole = app.get(0, &path).await.expect(200);
    assert_eq!((whole.text.as_str(), whole.header("content-type")), ("0123456789", "audio/mp4"));
    assert_eq!((whole.header("content-length"), whole.header("accept-ranges")), ("10", "bytes"));
    let etag = whole.header("etag").to_owned();
    let part = |range: &'static str| app.request(0, Method::GET, &path).header("range", range);
    for (range, text, of) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
    ] {
        let answer = part(range).answer().await.expect(206);
        assert_eq!((answer.text.as_str(), answer.header("content-range")), (text, of));
    }
    let beyond = part("bytes=10-").answer().await;
    beyond.problem(416, "range_not_satisfiable");
    assert_eq!(beyond.header("content-range"), "bytes */10");
    part("bytes=0-0").header("if-range", &etag).answer().await.expect(206);
    part("bytes=0-0").header("if-range", "\"another\"").answer().await.expect(200);
    let head = app.request(0, Method::HEAD, &path).answer().await.expect(200);
    assert_eq!((head.text.as_str(), head.header("content-length")), ("", "10"));
    app.get(1, &path).await.problem(404, "not_found");
    app.get(1, &format!("/api/lectures/{}/audio", Uuid::new_v4())).await.problem(404, "not_found");
}
