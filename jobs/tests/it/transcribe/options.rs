//! The options of a lecture reach the engine, whatever failed before.

use std::sync::Mutex;

use bedel_jobs::download::Download;
use bedel_jobs::lecture::UPLOADED;
use bedel_jobs::lecture::retry::{Retried, retry};
use bedel_jobs::lecture::submission::{Submission, submit};
use bedel_jobs::options::TranscriptionOptions;
use bedel_speech::engines::EngineKind;
use bedel_speech::{AudioChunk, Control, EngineError, EngineInfo, RawSegment, RawTranscript};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::*;

/// What an engine receives.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Received {
    model: String,
    language: Option<String>,
    prompt: Option<String>,
}

/// Records what it receives. Knows no German.
#[derive(Debug, Clone, Default)]
struct Recorder {
    model: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Recorder {
    fn last(&self) -> Received {
        self.received.lock().expect("no panic").last().expect("a call").clone()
    }
}

impl Engine for Recorder {
    fn describe(&self) -> EngineInfo {
        EngineInfo { engine: "recorder".to_owned(), model: self.model.clone() }
    }

    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
        Some(Arc::new(Self { model: model.to_owned(), received: Arc::clone(&self.received) }))
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        Ok(self.model.clone())
    }

    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        _: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(async move {
            let language = chunk.language.map(str::to_owned);
            let prompt = chunk.prompt.and_then(|prompt| prompt.text(1000, str::len));
            self.received.lock().expect("no panic").push(Received {
                model: self.model.clone(),
                language: language.clone(),
                prompt,
            });
            if let Some(language) = language.clone().filter(|language| language == "de") {
                return Err(EngineError::Language { model: "tiny.en".to_owned(), language });
            }
            let segments = vec![RawSegment { start: 0.0, end: 1.0, text: "Heard.".to_owned() }];
            Ok(RawTranscript {
                language: language.unwrap_or("en".to_owned()),
                segments,
                gaps: Vec::new(),
                raw: Value::Null,
            })
        })
    }
}

async fn env() -> (TranscribeEnv, Recorder) {
    let recorder = Recorder::default();
    (TranscribeEnv::new(Some(Arc::new(recorder.clone()))).await, recorder)
}

fn options(language: Option<&str>, terms: &[&str], model: Option<&str>) -> TranscriptionOptions {
    TranscriptionOptions {
        language: language.map(str::to_owned),
        vocabulary: Some(terms.iter().map(|term| (*term).to_owned()).collect()),
        engine: None,
        model: model.map(str::to_owned),
    }
}

async fn set_options(env: &TranscribeEnv, id: Uuid, options: TranscriptionOptions) {
    let mut tx = env.ctx.pool.begin().await.expect("a transaction");
    bedel_jobs::options::lecture::change(&mut tx, id, options).await.expect("stored");
    tx.commit().await.expect("a commit");
}

#[tokio::test]
async fn the_engine_gets_language_vocabulary_titles_and_model() {
    let (env, recorder) = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    env.run(id).await.expect("a transcript");
    assert_eq!(recorder.last(), Received { model: String::new(), language: None, prompt: None });

    env.base
        .execute(
            "-- options::titled
             WITH titled AS (UPDATE lectures SET title = 'Graphs' WHERE id = $1 RETURNING course_id)
             INSERT INTO courses (id, code, title) SELECT course_id, 'CSC 173', 'Formal Systems' FROM titled",
            id,
        )
        .await;
    set_options(&env, id, options(Some("fr"), &[], Some("base"))).await;
    env.run(id).await.expect("a transcript");
    assert_eq!(recorder.last().prompt, None, "titles alone are no vocabulary");
    set_options(&env, id, options(Some("fr"), &["Dijkstra", "graphs"], Some("base"))).await;
    env.run(id).await.expect("a transcript");
    let prompt = Some("Dijkstra, graphs, CSC 173, Formal Systems.".to_owned());
    let own = Received { model: "base".to_owned(), language: Some("fr".to_owned()), prompt };
    assert_eq!(recorder.last(), own, "a title that is a term is not repeated");

    // Args of a job in the queue win over the options' engine and model.
    let job: Transcribe =
        serde_json::from_value(json!({ "lecture_id": id, "model": "large" })).expect("args");
    job.run(&env.ctx, &Attempt::detached(Some(id))).await.expect("a transcript");
    assert_eq!(recorder.last(), Received { model: "large".to_owned(), ..own });
    let engine = TranscriptionOptions { engine: Some(EngineKind::Task), ..TranscriptionOptions::default() };
    set_options(&env, id, engine).await;
    assert_eq!(decision(&env.run(id).await.unwrap_err()), ("engine-missing", "wait"));
}

#[tokio::test]
async fn a_language_that_the_model_does_not_know_is_final_and_named() {
    let (env, _) = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    set_options(&env, id, options(Some("de"), &[], None)).await;
    let error = env.run(id).await.unwrap_err();
    assert_eq!(decision(&error), ("language", "fatal"));
    let text = error.to_string();
    assert!(text.contains("`language`") && text.contains("\"de\"") && text.contains("`model`"), "{text}");
}

#[tokio::test]
async fn options_survive_a_failed_download() {
    let (env, recorder) = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let audio = sound(directory.path(), "sine=duration=2", &[]);
    let user = Uuid::new_v4();
    let submission = Submission {
        course_id: Uuid::new_v4(),
        panopto_url: format!(
            "https://rochester.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={}",
            Uuid::new_v4()
        ),
        options: options(Some("fr"), &["Dijkstra"], Some("base")),
        ..Submission::default()
    };
    let mut tx = env.ctx.pool.begin().await.expect("a transaction");
    let id = submit(&mut tx, &env.ctx.settings, user, submission).await.expect("accepted").lecture_id;
    bedel_queue::cancel_subject(&mut tx, id, "it ends here").await.expect("cancelled");
    let (class, message) = ("gone".to_owned(), "The recording is gone.".to_owned());
    let end = End { subject: Some(id), cancelled: false, class, message };
    Download::ended(&env.ctx, &end, &mut tx).await.expect("failed");
    let retried = retry(&mut tx, &env.ctx.settings, Some(user), id).await.expect("retried");
    assert!(matches!(retried, Retried::Due(_)), "{retried:?}");
    tx.commit().await.expect("a commit");

    env.ctx.storage.put_file(&keys::audio(id), &audio).await.expect("stored audio");
    env.base
        .execute("UPDATE lectures SET audio_storage_key = 'audio/' || id || '.m4a' WHERE id = $1", id)
        .await;
    env.run(id).await.expect("a transcript");
    let received = recorder.last();
    assert_eq!((received.language.as_deref(), received.prompt.as_deref()), (Some("fr"), Some("Dijkstra.")));
    assert_eq!(received.model, "base");
}

/// The next transcription downloads the recording again; the old transcript stays.
#[tokio::test]
async fn a_completed_lecture_without_its_audio_keeps_its_transcript() {
    let (env, _) = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=2", &[])).await;
    let output = env.run(id).await.expect("a transcript");
    env.commit(id, output).await;
    env.ctx.storage.delete(&keys::audio(id)).await.expect("deleted");
    let error = env.run(id).await.unwrap_err();
    assert_eq!(decision(&error), ("audio-missing", "fatal"));
    for (class, stream_url, duration, has_audio) in [
        ("engine", "", Some(2), true),
        // Its probe was cancelled: it may be incomplete.
        ("cancelled", "", None, false),
        ("incomplete", "", Some(2), false),
        ("audio-missing", "", Some(2), false),
        ("incomplete", UPLOADED, Some(2), true),
    ] {
        sqlx::query(
            "UPDATE lectures SET stream_url = $2, duration_seconds = $3, audio_storage_key = 'audio/' || id || '.m4a'
             WHERE id = $1",
        )
        .bind(id)
        .bind(stream_url)
        .bind(duration)
        .execute(&env.ctx.pool)
        .await
        .expect("updated");
        let cancelled = class == "cancelled";
        let end = End { subject: Some(id), cancelled, class: class.into(), message: "Why.".into() };
        let mut tx = env.ctx.pool.begin().await.expect("a transaction");
        let cleaned = Transcribe::ended(&env.ctx, &end, &mut tx).await.expect("ended");
        tx.commit().await.expect("a commit");
        assert!(cleaned.is_empty(), "{cleaned:?}");
        let row = env.base.row(id).await.expect("the lecture");
        assert_eq!(row.status, LectureStatus::Completed);
        let kept = (row.audio_storage_key.is_some(), row.transcript_storage_key.is_some());
        assert_eq!(kept, (has_audio, true), "{class} {stream_url}");
    }
}
