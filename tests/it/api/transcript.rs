//! Reading the transcript.

use bytes::Bytes;

use super::{App, submission};

#[tokio::test]
async fn the_transcript_is_read_in_both_forms_once_it_is_there() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let paths =
        ["transcript", "transcript.json", "transcript.vtt"].map(|name| format!("/api/lectures/{id}/{name}"));
    for path in &paths {
        app.get(0, path).await.problem(404, "not_ready");
    }
    app.set_completed(id).await;
    // The row promises what the storage does not have.
    for path in &paths {
        app.get(0, path).await.problem(404, "not_found");
    }
    let json = r#"{"text":"good morning"}"#;
    let vtt = "WEBVTT\n\n00:00.000 --> 00:01.000\ngüten Morgen\n";
    app.storage
        .put_bytes(&format!("transcripts/{id}.json"), Bytes::from_static(json.as_bytes()))
        .await
        .unwrap();
    app.storage.put_bytes(&format!("transcripts/{id}.vtt"), Bytes::from(vtt)).await.unwrap();
    for (path, kind, text) in [
        (&paths[0], "application/json", json),
        (&paths[1], "application/json", json),
        (&paths[2], "text/vtt; charset=utf-8", vtt),
    ] {
        let answer = app.get(0, path).await.expect(200);
        assert_eq!(answer.header("content-type"), kind);
        assert_eq!(answer.text, text);
    }
}
