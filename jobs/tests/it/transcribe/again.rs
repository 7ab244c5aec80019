//! A completed lecture that is transcribed again, by another model.

use bedel_speech::Choice;
use bedel_speech::engines::EngineKind;
use serde_json::json;

use super::resumed::{Listener, with};
use super::*;

async fn stored(lab: &Lab, id: Uuid) -> [Vec<u8>; 2] {
    let storage = &lab.ctx.storage;
    let read = async |key: String| storage.get_bytes(&key, 1 << 20).await.expect("a file").to_vec();
    [read(keys::transcript_json(id)).await, read(keys::transcript_vtt(id)).await]
}

#[tokio::test]
async fn the_old_transcript_is_there_until_the_new_one_is_and_stays_where_none_comes() {
    let lab = Lab::new(None).await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = lab.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    let first = with(&lab, &Listener::stumbling_at(&[])).await;
    let output = Transcribe::new(id).run(&first, &Attempt::detached(Some(id))).await.expect("a transcript");
    lab.commit(id, output).await;
    let old = stored(&lab, id).await;

    // The other model fails for good.
    let other = Listener::stumbling_at(&[0]);
    let ctx = with(&lab, &other).await;
    let job: Transcribe = serde_json::from_value(json!({ "lecture_id": id, "model": "base" })).expect("args");
    assert_eq!(job.choice, Choice { engine: None, model: Some("base".to_owned()) });
    let error = job.run(&ctx, &Attempt::detached(Some(id))).await.expect_err("it stumbles");
    let (class, message) = (error.class().to_owned(), error.to_string());
    let failure = Failure { subject: Some(id), class: class.clone(), message: message.clone() };
    let end = End { subject: Some(id), cancelled: false, class, message };
    let mut tx = lab.ctx.pool.begin().await.expect("a transaction");
    job.begin(&ctx, &Attempt::detached(Some(id)), &mut tx).await.expect("begun");
    Transcribe::attempt_failed(&ctx, &failure, &mut tx).await.expect("noted");
    let cleaned = Transcribe::ended(&ctx, &end, &mut tx).await.expect("ended");
    tx.commit().await.expect("a commit");
    assert!(cleaned.is_empty(), "nothing of a completed lecture is removed: {cleaned:?}");
    assert_eq!(lab.world.status(id).await, (LectureStatus::Completed, None));
    assert_eq!(stored(&lab, id).await, old);

    // Then it works.
    other.stumbles_at.lock().expect("no panic").clear();
    let output = job.run(&ctx, &Attempt::detached(Some(id))).await.expect("a transcript").expect("a lecture");
    assert_eq!(output.model, "base");
    let mut tx = ctx.pool.begin().await.expect("a transaction");
    job.commit(&ctx, &Attempt::detached(Some(id)), &Some(output), &mut tx).await.expect("a commit");
    tx.commit().await.expect("a commit");
    let new = stored(&lab, id).await;
    assert!(new[0] != old[0] && String::from_utf8_lossy(&new[0]).contains("\"model\":\"base\""));
    assert_eq!(lab.world.status(id).await, (LectureStatus::Completed, None));
}

#[tokio::test]
async fn a_worker_without_the_engine_that_a_job_asks_for_leaves_it() {
    let lab = Lab::new(Some(Listener::stumbling_at(&[]))).await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = lab.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    let choice = Choice { engine: Some(EngineKind::Openai), model: None };
    let error =
        Transcribe { lecture_id: id, choice }.run(&lab.ctx, &Attempt::detached(Some(id))).await.unwrap_err();
    assert_eq!(decision(&error), ("engine-missing", "wait"));
    assert!(error.to_string().contains("openai"), "{error}");
}
