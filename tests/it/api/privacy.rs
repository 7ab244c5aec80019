//! Users cannot see each other's data.

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answering, App, COURSE, SESSION, submission, viewer};

#[tokio::test]
async fn two_users_never_see_each_other() {
    let app = App::start().await;
    let other_session = "aaaaaaaa-4a48-4dcc-96ba-0befba08a0fb";
    let mine = app.submit(0, &submission()).await.expect(201);
    let theirs = app
        .submit(1, &json!({ "course_id": COURSE, "panopto_url": viewer(other_session) }))
        .await
        .expect(201);
    for (user, own, foreign) in [(0, &mine, &theirs), (1, &theirs, &mine)] {
        app.set_failed_or_leave(foreign.id("lecture_id")).await;
        for id in [foreign.id("lecture_id"), Uuid::new_v4()] {
            let mut bodies = Vec::new();
            for path in ["", "/status", "/transcript", "/transcript.json", "/transcript.vtt"] {
                let answer = app.get(user, &format!("/api/lectures/{id}{path}")).await;
                bodies.push(answer.problem(404, "not_found"));
            }
            bodies.push(app.delete(user, id).await.problem(404, "not_found"));
            bodies.push(app.retry(user, id).await.problem(404, "not_found"));
            // The same answer whether it exists or not, on every path.
            assert!(bodies.iter().all(|body| body == &bodies[0]), "{bodies:?}");
        }
        let foreign_job =
            app.get(user, &format!("/api/jobs/{}", foreign.id("job_id"))).await.problem(404, "not_found");
        let no_job = app.get(user, &format!("/api/jobs/{}", Uuid::new_v4())).await.problem(404, "not_found");
        assert_eq!(foreign_job, no_job);
        app.get(user, &format!("/api/lectures/{}", own.id("lecture_id"))).await.expect(200);
    }
    // None of the requests changed anything.
    for (user, answer) in [(0, &mine), (1, &theirs)] {
        let shown =
            app.get(user, &format!("/api/lectures/{}", answer.id("lecture_id"))).await.expect(200).json();
        assert_eq!(shown["status"], "failed");
    }
    let session: Option<String> = sqlx::query_scalar("SELECT panopto_session_id FROM lectures WHERE id = $1")
        .bind(mine.id("lecture_id"))
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(session.as_deref(), Some(SESSION));
}

/// A PDF of this user.
async fn document(app: &App, user: usize) -> Uuid {
    let file = Part::bytes(b"%PDF-1.7".as_slice()).file_name("a.pdf").mime_str("application/pdf").unwrap();
    let form = Form::new().text("course_id", COURSE).part("file", file);
    let request = app.request(user, Method::POST, "/api/documents/upload").multipart(form);
    request.answer().await.expect(201).id("document_id")
}

/// Calls every described path with an id, once with ids of another user and once with unknown ids: the
/// answers are equal and nothing changes.
#[tokio::test]
async fn foreign_ids_look_like_unknown_ids() {
    let app = App::start().await;
    let submitted = app.submit(0, &submission()).await.expect(201);
    let (lecture, job) = (submitted.id("lecture_id"), submitted.id("job_id"));
    let document = document(&app, 0).await;
    for completed in [false, true] {
        if completed {
            app.set_completed(lecture).await;
            app.storage.put_bytes(&format!("audio/{lecture}.m4a"), "sound".into()).await.unwrap();
            app.storage.put_bytes(&format!("transcripts/{lecture}.json"), "{}".into()).await.unwrap();
        }
        let api: Value = serde_json::from_str(&bedel::api::description()).unwrap();
        let mut tried = 0;
        for (path, item) in api["paths"].as_object().unwrap() {
            let id = match path.split('/').nth(2) {
                Some("lectures") => lecture,
                Some("documents") => document,
                Some("jobs") => job,
                _ => continue,
            };
            for method in item.as_object().unwrap().keys().filter(|_| path.contains("{id}")) {
                let method: Method = method.to_uppercase().parse().unwrap();
                let ask = |id: Uuid| {
                    app.request(1, method.clone(), &path.replace("{id}", &id.to_string())).answer()
                };
                let (anothers, nothings) = (ask(id).await, ask(Uuid::new_v4()).await);
                assert!([403, 404].contains(&anothers.status.as_u16()), "{method} {path}: {}", anothers.text);
                assert_eq!(
                    (anothers.status, &anothers.text),
                    (nothings.status, &nothings.text),
                    "{method} {path}"
                );
                tried += 1;
            }
        }
        assert!(tried >= 18, "{tried} addresses");
    }
    // Lists hold only the caller's own.
    for path in [
        "/api/lectures".to_owned(),
        format!("/api/courses/{COURSE}/lectures"),
        format!("/api/courses/{COURSE}/documents"),
    ] {
        let listed = app.get(1, &path).await.expect(200).text;
        assert!(
            !listed.contains(&lecture.to_string()) && !listed.contains(&document.to_string()),
            "{listed}"
        );
    }
    app.get(0, &format!("/api/lectures/{lecture}/audio")).await.expect(200);
    app.get(0, &format!("/api/documents/{document}/file")).await.expect(200);
}

#[tokio::test]
async fn without_a_known_token_nothing_is_readable() {
    let app = App::start().await;
    let id = app.submit(0, &submission()).await.expect(201).id("lecture_id");
    let routes = [
        (Method::POST, "/api/lectures/download".to_owned()),
        (Method::GET, format!("/api/lectures/{id}")),
        (Method::DELETE, format!("/api/lectures/{id}")),
        (Method::GET, format!("/api/lectures/{id}/status")),
        (Method::GET, format!("/api/lectures/{id}/transcript")),
        (Method::GET, format!("/api/lectures/{id}/transcript.json")),
        (Method::GET, format!("/api/lectures/{id}/transcript.vtt")),
        (Method::POST, format!("/api/lectures/{id}/retry")),
        (Method::POST, "/api/admin/courses/sync".to_owned()),
        (Method::GET, format!("/api/jobs/{id}")),
        // Even for an unknown path.
        (Method::GET, "/api/lectures/no-id".to_owned()),
    ];
    for (method, path) in routes {
        let none = app.anonymous(method.clone(), &path).answer().await;
        none.problem(401, "unauthenticated");
        assert_eq!(none.header("www-authenticate"), r#"Bearer realm="bedel""#);
        for credential in
            ["Bearer wrong", "Bearer", "Basic dG9rZW4tb2YtdXNlci0wOg==", "token-of-user-0", "Bearer \u{e9}"]
        {
            let wrong =
                app.anonymous(method.clone(), &path).header("authorization", credential).answer().await;
            wrong.problem(401, "unauthenticated");
            assert!(wrong.header("www-authenticate").contains("invalid_token"), "{credential}");
        }
    }
    app.get(0, &format!("/api/lectures/{id}")).await.expect(200);
    // The scheme's name is case-insensitive.
    app.anonymous(Method::GET, &format!("/api/lectures/{id}"))
        .header("authorization", "bearer token-of-user-0")
        .answer()
        .await
        .expect(200);
}

impl App {
    /// The owner could retry this failed lecture: the other user's try must change nothing.
    async fn set_failed_or_leave(&self, lecture: Uuid) {
        if self.live_jobs(lecture).await == 1 {
            self.set_failed(lecture).await;
        }
    }
}
