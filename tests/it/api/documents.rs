//! Users' documents.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::json;
use uuid::Uuid;

use super::{Answer, Answering, App, COURSE, MAX_DOCUMENT_BYTES};

const UPLOAD: &str = "/api/documents/upload";
const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n";

fn file(name: &str, kind: &str, bytes: impl Into<Body>) -> Part {
    Part::stream(bytes).file_name(name.to_owned()).mime_str(kind).expect("a type")
}

fn form(name: &str, kind: &str, bytes: impl Into<Body>) -> Form {
    Form::new().text("course_id", COURSE).part("file", file(name, kind, bytes))
}

async fn upload(app: &App, user: usize, form: Form) -> Answer {
    app.request(user, Method::POST, UPLOAD).multipart(form).answer().await
}

/// Files of documents, including unfinished and leftover writes.
fn stored(app: &App) -> Vec<String> {
    let directory = app.directory.path().join("storage/documents");
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_pdf_is_kept_shown_read_and_removed() {
    let app = App::start().await;
    let answer = upload(&app, 0, form("Week 1.pdf", "application/pdf", PDF)).await.expect(201);
    let id = answer.id("document_id");
    assert_eq!(answer.json(), json!({ "document_id": id, "course_id": COURSE, "status": "uploaded" }));
    assert_eq!(stored(&app), [format!("{id}.pdf")]);

    let path = format!("/api/documents/{id}");
    let mut shown = app.get(0, &path).await.expect(200).json();
    assert_eq!(
        app.get(0, &format!("/api/courses/{COURSE}/documents")).await.expect(200).json(),
        json!([shown])
    );
    for time in ["created_at", "updated_at"] {
        shown.as_object_mut().unwrap().remove(time).unwrap();
    }
    let expected = json!({
        "id": id, "course_id": COURSE, "filename": "Week 1.pdf", "mime_type": "application/pdf",
        "size_bytes": PDF.len(), "page_count": null, "status": "uploaded",
    });
    assert_eq!(shown, expected);

    let read = app.get(0, &format!("{path}/file")).await.expect(200);
    assert_eq!(read.text.as_bytes(), PDF);
    assert_eq!(read.header("content-type"), "application/pdf");
    assert_eq!(
        read.header("content-disposition"),
        "inline; filename=\"Week 1.pdf\"; filename*=UTF-8''Week%201.pdf"
    );
    assert_eq!(read.header("accept-ranges"), "bytes");
    let part = app
        .request(0, Method::GET, &format!("{path}/file"))
        .header("range", "bytes=1-3")
        .answer()
        .await
        .expect(206);
    assert_eq!(
        (part.text.as_str(), part.header("content-range")),
        ("PDF", format!("bytes 1-3/{}", PDF.len()).as_str())
    );

    assert_eq!(app.request(0, Method::DELETE, &path).answer().await.expect(204).text, "");
    assert_eq!(stored(&app), [""; 0]);
    app.get(0, &path).await.problem(404, "not_found");
    app.request(0, Method::DELETE, &path).answer().await.problem(404, "not_found");
}

#[tokio::test]
async fn the_same_bytes_are_one_document_for_each_user_and_course() {
    let app = App::start().await;
    let first = upload(&app, 0, form("a.pdf", "application/pdf", PDF)).await.expect(201).id("document_id");
    let again = upload(&app, 0, form("b.pdf", "application/x-pdf", PDF)).await.expect(200).id("document_id");
    assert_eq!(again, first);
    let others =
        upload(&app, 1, form("a.pdf", "application/octet-stream", PDF)).await.expect(201).id("document_id");
    let elsewhere = Form::new()
        .part("file", file("a.pdf", "application/pdf", PDF))
        .text("course_id", Uuid::new_v4().to_string());
    let elsewhere = upload(&app, 0, elsewhere).await.expect(201).id("document_id");
    assert_eq!(stored(&app).len(), 3);
    for (user, id) in [(1, first), (0, others), (1, elsewhere)] {
        for path in ["", "/file"] {
            app.get(user, &format!("/api/documents/{id}{path}")).await.problem(404, "not_found");
        }
        app.request(user, Method::DELETE, &format!("/api/documents/{id}"))
            .answer()
            .await
            .problem(404, "not_found");
    }
    app.admin(Method::DELETE, &format!("/api/documents/{others}")).answer().await.expect(204);
}

#[tokio::test]
async fn fifty_uploads_at_once_are_one_document() {
    let app = App::start().await;
    let answers =
        futures::future::join_all((0..50).map(|_| upload(&app, 0, form("a.pdf", "application/pdf", PDF))))
            .await;
    let first = answers[0].id("document_id");
    assert!(answers.iter().all(|answer| answer.id("document_id") == first));
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(stored(&app), [format!("{first}.pdf")]);
}

#[tokio::test]
async fn a_document_that_lost_its_file_gets_it_back() {
    let app = App::start().await;
    let id = upload(&app, 0, form("a.pdf", "application/pdf", PDF)).await.expect(201).id("document_id");
    app.storage.delete(&format!("documents/{id}.pdf")).await.unwrap();
    app.get(0, &format!("/api/documents/{id}/file")).await.problem(404, "not_found");
    app.execute("UPDATE documents SET status = 'failed' WHERE id = $1", id).await;
    let again = upload(&app, 0, form("a.pdf", "application/pdf", PDF)).await.expect(200);
    assert_eq!((again.id("document_id"), &again.json()["status"]), (id, &json!("uploaded")));
    assert_eq!(app.get(0, &format!("/api/documents/{id}/file")).await.expect(200).text.as_bytes(), PDF);
    assert_eq!(stored(&app), [format!("{id}.pdf")]);
}

#[tokio::test]
async fn a_non_pdf_is_refused_and_nothing_is_stored() {
    let app = App::start().await;
    for (name, kind, bytes, status, code) in [
        ("a.txt", "application/pdf", PDF, 422, "invalid"),
        ("a.pdf", "text/plain", PDF, 415, "unsupported_media"),
        ("a.pdf", "application/pdf", b"<html>".as_slice(), 415, "unsupported_media"),
        ("a.pdf", "application/pdf", b"".as_slice(), 415, "unsupported_media"),
    ] {
        upload(&app, 0, form(name, kind, bytes)).await.problem(status, code);
    }
    let no_course = Form::new().part("file", file("a.pdf", "application/pdf", PDF));
    let refused = upload(&app, 0, no_course).await.problem(422, "invalid");
    assert_eq!(refused["errors"][0]["field"], "course_id");
    let bad_course = Form::new().text("course_id", "x").part("file", file("a.pdf", "application/pdf", PDF));
    upload(&app, 0, bad_course).await.problem(422, "invalid");
    upload(&app, 0, Form::new().text("course_id", COURSE)).await.problem(422, "invalid");
    let two = form("a.pdf", "application/pdf", PDF).part("file", file("b.pdf", "application/pdf", PDF));
    upload(&app, 0, two).await.problem(422, "invalid");
    app.request(0, Method::POST, UPLOAD).json(&json!({})).answer().await.problem(415, "unsupported_media");
    app.request(0, Method::POST, UPLOAD)
        .header("content-type", "multipart/form-data; boundary=x")
        .body("no form at all")
        .answer()
        .await
        .problem(400, "bad_request");
    assert_eq!(stored(&app), [""; 0]);
    assert_eq!(app.count("SELECT count(*) FROM documents WHERE owner_id = $1", app.users[0]).await, 0);
}

#[tokio::test]
async fn a_pdf_may_have_bytes_before_its_header() {
    let app = App::start().await;
    for before in [b"\xef\xbb\xbf".as_slice(), b"\r\n", &[b' '; 1019]] {
        let bytes = [before, PDF].concat();
        let id = upload(&app, 0, form("a.pdf", "application/pdf", bytes.clone()))
            .await
            .expect(201)
            .id("document_id");
        let read = app.get(0, &format!("/api/documents/{id}/file")).await.expect(200);
        assert_eq!(read.header("content-length"), bytes.len().to_string(), "the file stays as it is");
    }
    for before in [b"<html>\n".as_slice(), b"words ", &[b' '; 1020]] {
        let bytes = [before, PDF].concat();
        upload(&app, 0, form("a.pdf", "application/pdf", bytes)).await.problem(415, "unsupported_media");
    }
}

#[tokio::test]
async fn the_limit_fits_and_a_byte_more_does_not() {
    let app = App::start().await;
    let most = usize::try_from(MAX_DOCUMENT_BYTES).unwrap();
    let sized = |size: usize| {
        let mut bytes = PDF.to_vec();
        bytes.resize(size, b' ');
        form("a.pdf", "application/pdf", bytes)
    };
    let refused = upload(&app, 0, sized(most + 1)).await.problem(413, "too_large");
    assert!(refused["detail"].as_str().unwrap().contains("1 MiB"), "{refused}");
    upload(&app, 0, sized(3 * most)).await.problem(413, "too_large");
    assert_eq!(stored(&app), [""; 0]);
    upload(&app, 0, sized(most)).await.expect(201);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let app = App::start().await;
    let pieces = stream::iter([
        Ok(Bytes::from_static(PDF)),
        Ok(Bytes::from(vec![b' '; 300_000])),
        Err(std::io::Error::other("gone")),
    ]);
    let broken = form("a.pdf", "application/pdf", Body::wrap_stream(pieces));
    app.request(0, Method::POST, UPLOAD).multipart(broken).send().await.expect_err("the body ends early");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !stored(&app).is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", stored(&app));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn names_from_outside_stay_names() {
    let app = App::start().await;
    for (number, (sent, kept)) in [
        ("../../../etc/passwd.pdf", "passwd.pdf"),
        ("a\u{202e}fdp.pdf", "afdp.pdf"),
        ("\u{65e5}\u{672c}.PDF", "\u{65e5}\u{672c}.PDF"),
        ("a\"; filename=\"evil.pdf", "a\"; filename=\"evil.pdf"),
    ]
    .into_iter()
    .enumerate()
    {
        let bytes = [PDF, number.to_string().as_bytes()].concat();
        let id = upload(&app, 0, form(sent, "application/pdf", bytes)).await.expect(201).id("document_id");
        assert_eq!(app.get(0, &format!("/api/documents/{id}")).await.expect(200).json()["filename"], kept);
        let read = app.get(0, &format!("/api/documents/{id}/file")).await.expect(200);
        let disposition = read.header("content-disposition");
        assert!(disposition.is_ascii() && disposition.matches('"').count() == 2, "{disposition}");
        assert!(read.headers.get("set-cookie").is_none());
    }
    let broken = form("a\r\nset-cookie: a=b\r\n.pdf", "application/pdf", PDF);
    upload(&app, 0, broken).await.problem(400, "bad_request");
    assert_eq!(stored(&app).len(), 4);
}

#[tokio::test]
async fn unknown_parts_are_skipped() {
    let app = App::start().await;
    let large = || file("a.pdf", "application/pdf", [PDF, &vec![b' '; 1_500_000]].concat());
    let refused = upload(&app, 0, Form::new().text("course_id", COURSE).part("document", large())).await;
    assert_eq!(refused.problem(422, "invalid")["errors"][0]["field"], "file");
    upload(&app, 0, form("a.pdf", "application/pdf", PDF).part("document", large())).await.expect(201);
}

/// The parser would buffer all of it while waiting for a part to begin.
#[tokio::test]
async fn a_form_that_never_begins_is_refused_early() {
    let app = App::start().await;
    for (body, why) in [
        (vec![b'x'; 20_000_000], "no boundary"),
        (
            [
                b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"".as_slice(),
                &vec![b'a'; 20_000_000],
            ]
            .concat(),
            "no end of a head",
        ),
    ] {
        let request =
            app.request(0, Method::POST, UPLOAD).header("content-type", "multipart/form-data; boundary=x");
        request.body(body).answer().await.problem(400, "bad_request");
        assert_eq!(stored(&app), [""; 0], "{why}");
    }
}

/// The answer must reach a client that sends everything before it reads.
#[tokio::test]
async fn a_refusal_before_the_form_is_read_arrives() {
    let app = App::start().await;
    let large = || form("a.pdf", "application/pdf", vec![b' '; 30_000_000]);
    app.anonymous(Method::POST, UPLOAD).multipart(large()).answer().await.problem(401, "unauthenticated");
    app.anonymous(Method::POST, "/api/lectures/audio")
        .multipart(large())
        .answer()
        .await
        .problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_stalled_form_times_out() {
    let app = App::start().await;
    let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(PDF))]).chain(stream::pending());
    let stalled = form("a.pdf", "application/pdf", Body::wrap_stream(pieces));
    let refused =
        app.request(0, Method::POST, UPLOAD).multipart(stalled).answer().await.problem(400, "bad_request");
    assert!(refused["detail"].as_str().unwrap().contains("slowly"), "{refused}");
    assert_eq!(stored(&app), [""; 0]);
}
