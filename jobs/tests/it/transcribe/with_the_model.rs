//! With the real model, which is loaded once.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bedel_speech::wer::word_error_rate;
use bedel_speech::whisper::Whisper;
use bedel_speech::{Control, DecodedAudio, EngineError, Transcript, models};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::memory_call_log::MemoryCallLog;

pub(super) const SPOKEN: &str = "Good morning, and welcome to the first lecture of this course. Today we will talk about the \
     water cycle. The sun warms the sea, and water rises into the air as vapor. High above the ground the vapor \
     cools and forms clouds. When the clouds become heavy, rain falls on the mountains and on the fields. Small \
     streams join and become rivers, and the rivers carry the water back to the sea.";

/// One for all tests, as in a worker: the weights are loaded once.
static ENGINE: LazyLock<Whisper> = LazyLock::new(|| {
    let dir = models::default_dir().expect("a directory for models");
    if let Err(error) = models::resolve(models::DEFAULT_MODEL, &dir) {
        panic!(
            "{error}\nThese tests need the speech model. Type: script/setup (or bedel model install tiny.en)"
        );
    }
    Whisper::new(models::DEFAULT_MODEL, dir, None)
});

pub(super) async fn env() -> TranscribeEnv {
    TranscribeEnv::new(Some(Arc::new(ENGINE.clone()))).await
}

fn speech(directory: &Path, text: &str) -> PathBuf {
    let words = directory.join("words.txt");
    std::fs::write(&words, text).expect("a text file");
    sound(directory, &format!("flite=textfile={}:voice=slt", words.display()), &[])
}

pub(super) async fn stored(env: &TranscribeEnv, key: &str) -> Bytes {
    env.ctx.storage.get_bytes(key, 1 << 20).await.expect(key)
}

/// `minutes` of speech as samples.
async fn long_speech(env: &TranscribeEnv, directory: &Path, minutes: usize) -> Arc<Vec<f32>> {
    let once = directory.join("once.f32");
    env.ctx.media.decode_pcm(&speech(directory, SPOKEN), &once).await.expect("decoded");
    let once = DecodedAudio::open(&once).expect("samples");
    let once = once.read(0..once.samples()).await.expect("samples");
    Arc::new(once.into_iter().cycle().take(minutes * 60 * 16_000).collect())
}

/// The machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(50);

async fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn transcribing_twice_stores_the_same_transcript() {
    let env = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&speech(directory.path(), SPOKEN)).await;
    let older = format!("audio_tmp/{id}/{}.json", Uuid::new_v4());
    let upload = format!("audio_tmp/{id}/upload.mp4");
    for key in [&older, &upload] {
        env.ctx.storage.put_bytes(key, Bytes::from_static(b"{}")).await.expect("stored");
    }

    let output = env.run(id).await.expect("a transcript").expect("a lecture");
    assert_eq!((output.model.as_str(), output.language.as_str()), ("tiny.en", "en"));
    assert!(output.audio_seconds > 15.0 && output.elapsed_seconds > 0.0, "{output:?}");
    let commit = env.commit(id, Some(output)).await;
    assert!(shown(&commit).contains("real_time_factor"), "{commit:?}");

    let row = env.base.row(id).await.expect("the lecture");
    assert_eq!((row.status, row.error_message.clone()), (LectureStatus::Completed, None));
    assert_eq!(row.transcript_storage_key.as_deref(), Some(keys::transcript_json(id).as_str()));
    let json = stored(&env, &keys::transcript_json(id)).await;
    let captions = stored(&env, &keys::transcript_vtt(id)).await;
    let transcript: Transcript = serde_json::from_slice(&json).expect("the payload");
    let rate = word_error_rate(SPOKEN, &transcript.text);
    assert!(rate <= 0.10, "{rate}: {}", transcript.text);
    assert!(transcript.segments.iter().all(|s| s.start <= s.end && s.end <= transcript.duration));
    assert!(captions.starts_with(b"WEBVTT\n\n00:00:"), "{captions:?}");
    assert_eq!(env.base.keys().await, [keys::audio(id), upload.clone()], "an older lease's file stayed");
    assert!(env.base.scratch().is_empty());

    let output = env.run(id).await.expect("a transcript");
    env.commit(id, output).await;
    let again = env.base.row(id).await.expect("the lecture");
    let without_time = |row: &bedel_jobs::lecture::Lecture| {
        format!("{:?}", bedel_jobs::lecture::Lecture { updated_at: row.created_at, ..row.clone() })
    };
    assert_eq!(without_time(&again), without_time(&row));
    assert_eq!(stored(&env, &keys::transcript_json(id)).await, json);
    assert_eq!(stored(&env, &keys::transcript_vtt(id)).await, captions);
    assert_eq!(env.base.keys().await, [keys::audio(id), upload]);
}

#[tokio::test]
async fn only_an_uploaded_source_is_cleaned_after_completion() {
    let env = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&speech(directory.path(), "This was uploaded.")).await;
    let output = env.run(id).await.expect("a transcript");
    let commit = shown(&env.commit(id, output.clone()).await);
    assert!(!commit.contains("cleanup-orphans"), "{commit}");
    env.base
        .execute(
            "-- transcribe::uploaded
             UPDATE lectures SET stream_url = 'audio_podcast' WHERE id = $1",
            id,
        )
        .await;
    let commit = shown(&env.commit(id, output).await);
    assert!(commit.contains("cleanup-orphans"), "{commit}");
}

#[tokio::test]
async fn a_silent_recording_is_refused_with_a_reason() {
    let env = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    for filter in ["anullsrc=r=16000:cl=mono:d=8", "anoisesrc=r=16000:d=8:a=0.0005:seed=1"] {
        let id = env.lecture(&sound(directory.path(), filter, &[])).await;
        let error = env.run(id).await.expect_err(filter);
        assert_eq!(decision(&error), ("no-speech", "fatal"), "{filter}");
        assert!(!env.ctx.storage.exists(&keys::transcript_json(id)).await.expect("a look"), "{filter}");
        env.base.execute("-- transcribe::clear\nDELETE FROM lectures WHERE id = $1", id).await;
    }
}

#[tokio::test]
async fn missing_audio_says_what_to_do() {
    let env = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let id = env.lecture(&sound(directory.path(), "sine=duration=1", &[])).await;
    env.ctx.storage.delete(&keys::audio(id)).await.expect("deleted");
    let error = env.run(id).await.unwrap_err();
    assert_eq!(decision(&error), ("audio-missing", "fatal"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transcription_reports_progress_and_stops_within_a_second() {
    let env = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let audio = long_speech(&env, directory.path(), 20).await;

    // By the token, and by dropping the future. The callback is dropped when the work behind the future ends.
    for by_token in [true, false] {
        let token = CancellationToken::new();
        let begun = Arc::new(AtomicBool::new(false));
        let noticed = Arc::clone(&begun);
        let control = Control::new(token.clone(), move |fraction| {
            noticed.fetch_or(fraction > 0.0 && fraction < 1.0, Ordering::Relaxed);
        });
        let audio = audio.clone();
        let work = tokio::spawn(async move {
            let book = MemoryCallLog::default();
            ENGINE.transcribe(book.chunk(&audio, None, Path::new("/")), &control).await
        });
        eventually("progress", PATIENCE, || begun.load(Ordering::Relaxed)).await;
        let stopped = Instant::now();
        if by_token {
            token.cancel();
            let outcome = work.await.expect("no panic");
            assert!(matches!(outcome, Err(EngineError::Cancelled)), "{outcome:?}");
        } else {
            work.abort();
            assert!(work.await.expect_err("aborted").is_cancelled());
        }
        let future_after = stopped.elapsed();
        assert!(future_after < Duration::from_secs(1), "{future_after:?}");
        // Twenty minutes of speech take much longer than the rest of one encoder pass.
        eventually("the end of the work", PATIENCE, || Arc::strong_count(&begun) == 1).await;
        println!("the future ended after {future_after:?}, the work after {:?}", stopped.elapsed());
    }
}

#[tokio::test]
async fn a_missing_model_or_language_is_named() {
    let env = env().await;
    let directory = tempfile::tempdir().expect("a directory");
    let audio = long_speech(&env, directory.path(), 1).await;
    let control = Control::new(CancellationToken::new(), |_| ());
    let elsewhere = Whisper::new("tiny.en", directory.path(), None);
    let book = MemoryCallLog::default();
    let passage = |language| book.chunk(&audio, language, directory.path());
    let error = JobError::from(elsewhere.transcribe(passage(None), &control).await.unwrap_err());
    assert_eq!(decision(&error), ("model-missing", "wait"));
    assert!(!error.to_string().contains('/'), "no path: {error}");
    let error = ENGINE.transcribe(passage(Some("de")), &control).await.unwrap_err();
    assert!(matches!(error, EngineError::Language { .. }), "{error}");
}
