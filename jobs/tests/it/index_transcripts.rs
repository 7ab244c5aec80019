//! The rows of the search: written by `transcribe`, rebuilt by `index-transcripts`.

use bedel_jobs::index_transcripts::IndexTranscripts;
use bedel_queue::NewJob;
use bedel_storage::keys;
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::test_env::TestEnv;

/// A completed lecture with this file as its transcript.
async fn completed(env: &TestEnv, file: &str) -> Uuid {
    let id = env.lecture("completed").await;
    env.execute(
        "UPDATE lectures SET title = 'Heat 1', transcript_storage_key = 'transcripts/' || id || '.json' WHERE id = $1",
        id,
    )
    .await;
    let bytes = Bytes::from(file.to_owned());
    env.ctx.storage.put_bytes(&keys::transcript_json(id), bytes).await.unwrap();
    id
}

fn transcript(text: &str) -> String {
    let segments: Vec<Value> = (0..40)
        .map(|n| json!({ "start": n * 10, "end": n * 10 + 9, "text": format!("{text} {n}.") }))
        .collect();
    json!({ "language": "en", "segments": segments }).to_string()
}

/// The lecture's rows in both tables, as text.
async fn rows(env: &TestEnv, id: Uuid) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT to_jsonb(i)::text FROM transcript_index AS i WHERE lecture_id = $1
         UNION ALL
         (SELECT to_jsonb(p)::text FROM transcript_passages AS p WHERE lecture_id = $1 ORDER BY number)",
    )
    .bind(id)
    .fetch_all(&env.ctx.pool)
    .await
    .unwrap()
}

async fn run(env: &TestEnv, all: bool) -> Value {
    let ended = env.work::<IndexTranscripts>(&NewJob::new(&IndexTranscripts { all })).await;
    assert_eq!(ended.state, "completed", "{ended:?}");
    ended.result.unwrap()
}

#[tokio::test]
async fn missing_rows_are_written_and_the_same_again_after_a_loss() {
    let env = TestEnv::open().await;
    let (one, other) =
        (completed(&env, &transcript("Water boils")).await, completed(&env, &transcript("Ice melts")).await);
    env.lecture("pending").await;
    assert_eq!(run(&env, false).await, json!({ "indexed": 2, "unreadable": 0, "missing": 0 }));
    let written = [rows(&env, one).await, rows(&env, other).await];
    assert!(written.iter().all(|rows| rows.len() > 5), "{written:?}");
    assert_eq!(run(&env, false).await["indexed"], 0, "nothing is missing");

    env.execute("DELETE FROM transcript_index WHERE lecture_id = $1", one).await;
    env.execute("UPDATE transcript_index SET version = 0, words = '' WHERE lecture_id = $1", other).await;
    env.execute("DELETE FROM transcript_passages WHERE lecture_id = $1 AND number > 1", other).await;
    assert_eq!(run(&env, false).await["indexed"], 2);
    assert_eq!([rows(&env, one).await, rows(&env, other).await], written);
    env.execute("UPDATE transcript_index SET words = '' WHERE lecture_id = $1", one).await;
    assert_eq!(run(&env, true).await["indexed"], 2);
    assert_eq!([rows(&env, one).await, rows(&env, other).await], written);
}

#[tokio::test]
async fn transcripts_of_another_format_keep_their_title_and_missing_ones_wait() {
    let env = TestEnv::open().await;
    let foreign = completed(&env, "no JSON").await;
    let lost = completed(&env, "").await;
    env.ctx.storage.delete(&keys::transcript_json(lost)).await.unwrap();
    assert_eq!(run(&env, false).await, json!({ "indexed": 0, "unreadable": 1, "missing": 1 }));
    assert_eq!(run(&env, false).await, json!({ "indexed": 0, "unreadable": 0, "missing": 1 }));
    let written = rows(&env, foreign).await;
    assert!(written.len() == 2 && written[1].contains("Heat 1"), "{written:?}");
    assert!(rows(&env, lost).await.is_empty());
}
