//! Reading the transcript.

use bytes::Bytes;

use super::{App, submission};

#[tokio::test]
async fn the_transcript_is_read_in_all_forms_once_it_is_there() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let paths = ["transcript", "transcript.json", "transcript.vtt", "transcript.srt", "transcript.txt"]
        .map(|name| format!("/api/lectures/{id}/{name}"));
    for path in &paths {
        app.get(0, path).await.problem(404, "not_ready");
    }
    app.set_completed(id).await;
    // The row names a file that the storage does not have.
    for path in &paths {
        app.get(0, path).await.problem(404, "not_found");
    }
    let json = r#"{"text":"Good morning. All.","language":"en","duration":3.0,"model":"m","engine":"e",
        "segments":[{"id":0,"start":0.0,"end":1.5,"text":"Good morning."},{"id":1,"start":1.5,"end":3.0,"text":"All."}]}"#;
    let srt = "1\n00:00:00,000 --> 00:00:01,416\nGood morning.\n\n2\n00:00:01,500 --> 00:00:03,000\nAll.\n";
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
        (&paths[3], "application/x-subrip; charset=utf-8", srt),
        (&paths[4], "text/plain; charset=utf-8", "Good morning.\nAll.\n"),
    ] {
        let answer = app.get(0, path).await.expect(200);
        assert_eq!(answer.header("content-type"), kind);
        assert_eq!(answer.text, text);
    }
}
