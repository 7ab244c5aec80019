//! `submit` against every answer of Panopto's viewer, with a real database.

use std::time::Duration;

use bedel_jobs::lecture::LectureStatus;
use bedel_jobs::submit::{Resolved, Submit};
use bedel_queue::{Attempt, Commit, End, Failure, Job, JobError};
use bedel_recordings::panopto::streams::{Stream, StreamKind};
use uuid::Uuid;

use crate::environment::{SESSION, UpstreamEnv, decision, shown};
use bedel_upstream::{Reply, delivery_info};

impl UpstreamEnv {
    async fn submit(&self, lecture_id: Uuid) -> Result<Commit, JobError> {
        let (job, attempt) = (Submit { lecture_id }, Attempt::detached(Some(lecture_id)));
        let output = job.run(&self.ctx, &attempt).await?;
        self.commit_submit(&output, lecture_id).await
    }

    async fn commit_submit(&self, output: &Option<Resolved>, lecture_id: Uuid) -> Result<Commit, JobError> {
        let (job, attempt) = (Submit { lecture_id }, Attempt::detached(Some(lecture_id)));
        let mut tx = self.ctx.pool.begin().await?;
        let commit = job.commit(&self.ctx, &attempt, output, &mut tx).await?;
        tx.commit().await?;
        Ok(commit)
    }

    async fn fail_attempt(&self, lecture_id: Option<Uuid>, message: &str) {
        let failure = Failure { subject: lecture_id, class: "network".into(), message: message.into() };
        let mut tx = self.ctx.pool.begin().await.expect("a transaction");
        Submit::attempt_failed(&self.ctx, &failure, &mut tx).await.expect("the hook");
        tx.commit().await.expect("a commit");
    }

    async fn end(&self, lecture_id: Option<Uuid>, message: &str) -> usize {
        let end =
            End { subject: lecture_id, cancelled: false, class: "network".into(), message: message.into() };
        let mut tx = self.ctx.pool.begin().await.expect("a transaction");
        let next = Submit::ended(&self.ctx, &end, &mut tx).await.expect("the hook");
        tx.commit().await.expect("a commit");
        assert!(next.iter().all(|job| format!("{job:?}").contains("cleanup-orphans")), "{next:?}");
        next.len()
    }
}

#[tokio::test]
async fn panopto_is_asked_if_no_stream_is_known() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("").await;
    env.fail_attempt(Some(id), "an earlier attempt failed").await;
    let stream = "http://127.0.0.1:1/p.mp4?token=secret";
    env.upstream
        .on(delivery_info::PATH, [delivery_info::ready(&env.upstream.url("/p.mp4"), " Lecture\n 1 ", 88.17)]);
    for run in 0..2 {
        let commit = env.submit(id).await.expect("a commit");
        let row = env.row(id).await.expect("the lecture");
        assert_eq!(row.stream_url, env.upstream.url("/p.mp4"), "run {run}");
        assert_eq!(row.title.as_deref(), Some("Lecture 1"));
        assert_eq!((row.status, row.error_message), (LectureStatus::Pending, None));
        assert_eq!(row.panopto_session_id.as_deref(), Some(SESSION));
        let commit = shown(&commit);
        for part in
            ["kind: \"download\"", "group_key: Some(\"127.0.0.1\")", &bedel_jobs::pipeline::unique_key(id)]
        {
            assert!(commit.contains(part), "{part} in {commit}");
        }
        assert_eq!(commit.matches("NewJob").count(), 1);
    }
    let requests = env.upstream.requests();
    assert_eq!(requests.len(), 1, "the second run finds the stream in the row");
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].body, format!("deliveryId={SESSION}&isEmbed=true&responseType=json"));

    // A forbidden stream is refused here, not an hour later.
    let other = env.lecture("").await;
    env.upstream.on(delivery_info::PATH, [delivery_info::ready(stream, "x", 88.17)]);
    let error = env.submit(other).await.expect_err("a private address");
    assert_eq!(decision(&error), ("url-refused", "fatal"));
    assert!(!error.to_string().contains("secret"));
}

#[tokio::test]
async fn a_stream_that_the_client_knows_is_left_alone() {
    let env = UpstreamEnv::new().await;
    for (stream, group) in
        [("https://cdn.example/a.mp4?x=1", "Some(\"cdn.example\")"), ("audio_podcast", "None")]
    {
        let id = env.lecture(stream).await;
        let commit = shown(&env.submit(id).await.expect("a commit"));
        assert!(commit.contains(&format!("group_key: {group}")), "{commit}");
        assert_eq!(env.row(id).await.expect("the lecture").stream_url, stream);
    }
    assert!(env.upstream.requests().is_empty(), "Panopto is not asked");
}

#[tokio::test]
async fn what_a_client_sends_meanwhile_wins() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("").await;
    env.execute(
        "UPDATE lectures SET stream_url = 'https://cdn.example/new.mp4', title = 'Mine' WHERE id = $1",
        id,
    )
    .await;
    let resolved = Resolved {
        streams: vec![Stream {
            url: "https://old.example/a.mp4".parse().expect("a URL"),
            kind: StreamKind::Podcast,
            spans: Vec::new(),
        }],
        title: Some("Theirs".into()),
        seconds: Some(60.0),
    };
    let commit = shown(&env.commit_submit(&Some(resolved), id).await.expect("a commit"));
    let row = env.row(id).await.expect("the lecture");
    assert_eq!(
        (row.stream_url.as_str(), row.title.as_deref()),
        ("https://cdn.example/new.mp4", Some("Mine"))
    );
    assert!(commit.contains("Some(\"cdn.example\")"), "{commit}");
}

#[tokio::test]
async fn every_state_of_a_recording_has_its_outcome() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("").await;
    let table = [
        (delivery_info::login_required(), ("login-required", "fatal"), "sign"),
        (Reply::login_page(), ("login-required", "fatal"), "sign"),
        (
            Reply::redirect("/Panopto/Pages/Auth/Login.aspx?ReturnUrl=secret"),
            ("login-required", "fatal"),
            "sign",
        ),
        (Reply::redirect("https://idp.example/sso?secret=1"), ("login-required", "fatal"), "sign"),
        (Reply::html(403, "<html>no"), ("login-required", "fatal"), "sign"),
        (delivery_info::deleted(), ("deleted", "fatal"), "no longer exists"),
        (delivery_info::encoding(), ("encoding", "wait"), "processing"),
        (delivery_info::unknown_error(), ("panopto-error", "retry"), "Overloaded, see"),
        (delivery_info::unreadable(), ("panopto-answer", "retry"), "cannot read"),
        (Reply::html(404, "<html>no"), ("not-panopto", "fatal"), "Panopto"),
        (Reply::html(500, "<html>no"), ("upstream-error", "retry"), "500"),
        (Reply::too_many_requests("90"), ("rate-limited", "wait"), "too often"),
        (Reply::json("{}").cut_at(1), ("network", "retry"), "127.0.0.1"),
        (Reply::silent(), ("stalled", "retry"), "nothing"),
    ];
    for (reply, outcome, words) in table {
        env.upstream.on(delivery_info::PATH, [reply.clone()]);
        let error = env.submit(id).await.expect_err("an outcome");
        assert_eq!(decision(&error), outcome, "{reply:?}");
        let text = error.to_string();
        assert!(text.contains(words) && !text.contains("secret") && !text.contains('<'), "{text}");
        assert_eq!(env.row(id).await.expect("the lecture").stream_url, "", "nothing is stored");
    }
}

#[tokio::test]
async fn an_unfinished_encoding_is_polled_less_and_less_often() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("").await;
    env.upstream.on(delivery_info::PATH, [delivery_info::encoding()]);
    for (age_minutes, pause_minutes) in [(0.0, 10), (10.0, 20), (30.0, 40), (70.0, 60), (600.0, 60)] {
        let mut attempt = Attempt::detached(Some(id));
        attempt.age_seconds = age_minutes * 60.0;
        let error = Submit { lecture_id: id }.run(&env.ctx, &attempt).await.expect_err("not yet");
        assert_eq!(
            error.wait_delay(),
            Some(Duration::from_secs(pause_minutes * 60)),
            "after {age_minutes} minutes"
        );
    }
}

#[tokio::test]
async fn a_page_that_names_its_recording_by_tid_is_asked_by_tid() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("").await;
    let tid = "f3b30000-0000-4000-8000-00000000f3b3";
    sqlx::query("UPDATE lectures SET panopto_url = $2 WHERE id = $1")
        .bind(id)
        .bind(env.upstream.url(&format!("/Panopto/Pages/Viewer.aspx?tid={tid}")))
        .execute(&env.ctx.pool)
        .await
        .expect("an update");
    env.upstream.on(delivery_info::PATH, [delivery_info::ready(&env.upstream.url("/p.mp4"), "x", 88.17)]);
    env.submit(id).await.expect("a commit");
    assert!(env.upstream.requests()[0].body.starts_with(&format!("tid={tid}&")));
    assert_eq!(env.row(id).await.and_then(|row| row.panopto_session_id).as_deref(), Some(SESSION));
}

#[tokio::test]
async fn an_address_that_names_no_recording_is_refused_without_asking() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("").await;
    env.execute("UPDATE lectures SET panopto_url = 'https://evil.example/x?id=1' WHERE id = $1", id).await;
    let error = env.submit(id).await.expect_err("a refusal");
    assert_eq!(decision(&error), ("host-not-panopto", "fatal"));
    assert!(env.upstream.requests().is_empty());
}

#[tokio::test]
async fn a_deleted_lecture_ends_its_job() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("https://cdn.example/a.mp4").await;
    let known =
        Submit { lecture_id: id }.run(&env.ctx, &Attempt::detached(Some(id))).await.expect("an output");
    env.execute("DELETE FROM lectures WHERE id = $1", id).await;
    for commit in [env.commit_submit(&known, id).await, env.submit(id).await] {
        let commit = shown(&commit.expect("a commit"));
        assert!(commit.contains("cancelled: Some(") && !commit.contains("NewJob"), "{commit}");
    }
    env.fail_attempt(Some(id), "x").await;
    assert_eq!(env.end(Some(id), "x").await, 0, "nothing to clean for a lecture that is gone");
    env.fail_attempt(None, "x").await;
    assert_eq!(env.end(None, "x").await, 0);
}

#[tokio::test]
async fn failures_are_shown_on_the_lecture() {
    let env = UpstreamEnv::new().await;
    let id = env.lecture("").await;
    let long = format!("a\0b {}", "é".repeat(1000));
    env.fail_attempt(Some(id), &long).await;
    let (status, message) = env.status(id).await;
    let message = message.expect("a message");
    assert_eq!((status, message.chars().count()), (LectureStatus::Pending, 500));
    assert!(message.starts_with("a b é"));

    env.execute("UPDATE lectures SET audio_storage_key = 'audio/x.m4a' WHERE id = $1", id).await;
    assert_eq!(env.end(Some(id), "Send it again.").await, 1, "its files are cleaned");
    let row = env.row(id).await.expect("the lecture");
    assert_eq!((row.status, row.audio_storage_key), (LectureStatus::Failed, None));
    assert_eq!(row.error_message.as_deref(), Some("Send it again."));
    // A late hook does not replace the failure's reason.
    env.fail_attempt(Some(id), "late").await;
    assert_eq!(env.status(id).await.1.as_deref(), Some("Send it again."));

    env.execute("UPDATE lectures SET status = 'completed', error_message = NULL WHERE id = $1", id).await;
    env.fail_attempt(Some(id), "late").await;
    assert_eq!(env.end(Some(id), "late").await, 0);
    assert_eq!(env.status(id).await, (LectureStatus::Completed, None));
}

#[tokio::test]
async fn internal_errors_are_worded_for_students() {
    let env = UpstreamEnv::new().await;
    for class in ["panic", "internal", "database", "attempt-timeout", "crashed", "undecodable"] {
        let id = env.lecture("").await;
        let (subject, class) = (Some(id), class.to_owned());
        let message = String::from("the handler panicked: index 7");
        let failure = Failure { subject, class: class.clone(), message: message.clone() };
        let end = End { subject, cancelled: false, class: class.clone(), message };
        let mut connection = env.ctx.pool.acquire().await.expect("a connection");
        Submit::attempt_failed(&env.ctx, &failure, &mut connection).await.expect("the hook");
        let noted = env.status(id).await.1.expect("a message");
        Submit::ended(&env.ctx, &end, &mut connection).await.expect("the hook");
        let ended = env.status(id).await.1.expect("a message");
        assert!(ended.contains("our side") && ended.contains("retry"), "{class}: {ended}");
        assert_eq!(noted, ended, "{class}");
    }
}

#[tokio::test]
async fn a_failed_lecture_keeps_its_audio_where_that_is_configured() {
    let env = UpstreamEnv::with(|settings| settings.keep_failed_audio_days = 3).await;
    let id = env.lecture("").await;
    env.execute("UPDATE lectures SET audio_storage_key = 'audio/x.m4a' WHERE id = $1", id).await;
    assert_eq!(env.end(Some(id), "x").await, 1);
    assert_eq!(env.row(id).await.and_then(|row| row.audio_storage_key).as_deref(), Some("audio/x.m4a"));
}
