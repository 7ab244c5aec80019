//! A completed lecture that is transcribed again, by another model.

use bedel_speech::Choice;
use bedel_speech::engines::EngineKind;
use serde_json::json;

use super::resumed::{Listener, with};
use super::*;

async fn stored(env: &TranscribeEnv, id: Uuid) -> [Vec<u8>; 2] {
    let storage = &env.ctx.storage;
    let read = async |key: String| storage.get_bytes(&key, 1 << 20).await.expect("a file").to_vec();
    [read(keys::transcript_json(id)).await, read(keys::transcript_vtt(id)).await]
}

#[tokio::test]
async fn the_old_transcript_stays_until_a_new_one_replaces_it() {
    let env = TranscribeEnv::new(None).await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    let first = with(&env, &Listener::stumbling_at(&[])).await;
    let output = Transcribe::new(id).run(&first, &Attempt::detached(Some(id))).await.expect("a transcript");
    env.commit(id, output).await;
    let old = stored(&env, id).await;

    // The other model fails fatally.
    let other = Listener::stumbling_at(&[0]);
    let ctx = with(&env, &other).await;
    let job: Transcribe = serde_json::from_value(json!({ "lecture_id": id, "model": "base" })).expect("args");
    assert_eq!(job.choice, Choice { engine: None, model: Some("base".to_owned()) });
    let error = job.run(&ctx, &Attempt::detached(Some(id))).await.expect_err("it stumbles");
    let (class, message) = (error.class().to_owned(), error.to_string());
    let failure = Failure { subject: Some(id), class: class.clone(), message: message.clone() };
    let end = End { subject: Some(id), cancelled: false, class, message };
    let mut tx = env.ctx.pool.begin().await.expect("a transaction");
    job.begin(&ctx, &Attempt::detached(Some(id)), &mut tx).await.expect("begun");
    Transcribe::attempt_failed(&ctx, &failure, &mut tx).await.expect("noted");
    let cleaned = Transcribe::ended(&ctx, &end, &mut tx).await.expect("ended");
    tx.commit().await.expect("a commit");
    assert!(cleaned.is_empty(), "nothing of a completed lecture is removed: {cleaned:?}");
    assert_eq!(env.base.status(id).await, (LectureStatus::Completed, None));
    assert_eq!(stored(&env, id).await, old);

    // Then it works.
    other.stumbles_at.lock().expect("no panic").clear();
    let output = job.run(&ctx, &Attempt::detached(Some(id))).await.expect("a transcript").expect("a lecture");
    assert_eq!(output.model, "base");
    let mut tx = ctx.pool.begin().await.expect("a transaction");
    job.commit(&ctx, &Attempt::detached(Some(id)), &Some(output), &mut tx).await.expect("a commit");
    tx.commit().await.expect("a commit");
    let new = stored(&env, id).await;
    assert!(new[0] != old[0] && String::from_utf8_lossy(&new[0]).contains("\"model\":\"base\""));
    assert_eq!(env.base.status(id).await, (LectureStatus::Completed, None));
}

#[tokio::test]
async fn a_worker_without_the_requested_engine_leaves_the_job() {
    let env = TranscribeEnv::new(Some(Listener::stumbling_at(&[]))).await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    let choice = Choice { engine: Some(EngineKind::Openai), model: None };
    let error =
        Transcribe { lecture_id: id, choice }.run(&env.ctx, &Attempt::detached(Some(id))).await.unwrap_err();
    assert_eq!(decision(&error), ("engine-missing", "wait"));
    assert!(error.to_string().contains("openai"), "{error}");
}

/// The lecture's passages in the index, as text.
async fn passages(env: &TranscribeEnv, id: Uuid) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT array_to_string(texts, '|') FROM transcript_passages WHERE lecture_id = $1 ORDER BY number",
    )
    .bind(id)
    .fetch_all(&env.ctx.pool)
    .await
    .expect("the passages")
}

/// The rows of the search exist if and only if the commit does.
#[tokio::test]
async fn the_commit_writes_the_rows_of_the_search_and_a_new_one_replaces_them() {
    let env = TranscribeEnv::new(None).await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    let ctx = with(&env, &Listener::stumbling_at(&[])).await;
    let output = Transcribe::new(id).run(&ctx, &Attempt::detached(Some(id))).await.expect("a transcript");
    assert!(passages(&env, id).await.is_empty(), "before the commit");

    let mut tx = env.ctx.pool.begin().await.expect("a transaction");
    let attempt = Attempt::detached(Some(id));
    Transcribe::new(id).commit(&env.ctx, &attempt, &output, &mut tx).await.expect("a commit");
    tx.rollback().await.expect("a lost lease");
    assert!(passages(&env, id).await.is_empty(), "the transaction did not commit");
    assert_ne!(env.base.status(id).await.0, LectureStatus::Completed);

    env.commit(id, output).await;
    let first = passages(&env, id).await;
    assert!(first.len() == 1 && first[0].ends_with("samples"), "{first:?}");

    // A longer recording, transcribed again.
    let other = env.lecture(&sound(directory.path(), "sine=duration=3", &[])).await;
    let output =
        Transcribe::new(other).run(&ctx, &Attempt::detached(Some(other))).await.expect("a transcript");
    env.commit(id, output).await;
    let second = passages(&env, id).await;
    assert!(second.len() == 1 && second != first, "{second:?}");

    env.base.execute("DELETE FROM lectures WHERE id = $1", id).await;
    assert!(passages(&env, id).await.is_empty());
}
