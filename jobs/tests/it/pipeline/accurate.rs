//! Seventeen minutes of human speech with known words, from the link to the transcript.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_jobs::registry;
use bedel_queue::{Queue, run_worker};
use bedel_speech::wer::{SpokenSentence, offsets, word_error_rate};
use bedel_speech::{Control, DecodedAudio, Engine, Transcript};
use bedel_storage::keys;
use bedel_upstream::{Resource, delivery_info};
use tokio_util::sync::CancellationToken;

use super::harness::{Harness, LECTURE, STAGES, options, settings};
use super::process::whisper;
use crate::cache::installed;
use crate::environment;
use crate::memory_call_log::MemoryCallLog;

/// Timeout for minutes of speech on a machine busy with other tests.
const PATIENCE: Duration = Duration::from_secs(1500);

/// Largest share of wrong words, and largest difference between pieces and one call.
const WORD_ERROR_RATE: f64 = 0.05;
const FOR_THE_PIECES: f64 = 0.005;

/// Largest error of a sentence's time in seconds, and the share of sentences that may exceed it: Whisper
/// sometimes puts a sentence's last word into the next one.
const NEAR: f64 = 0.5;
const FAR: f64 = 0.05;

/// The recording and its words.
fn directory() -> PathBuf {
    installed("speech-1/spoken", "script/speech")
}

fn spoken() -> Vec<SpokenSentence> {
    let json = std::fs::read(directory().join("spoken.json")).expect("what is said");
    serde_json::from_slice(&json).expect("what is said")
}

fn words(spoken: &[SpokenSentence]) -> String {
    spoken.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// The transcript of the whole pipeline with this model, and its number of pieces.
async fn transcribed(model: &str) -> (Transcript, usize) {
    let harness = Harness::new().await;
    let lecture = std::fs::read(directory().join("lecture.m4a")).expect("the lecture");
    harness.upstream.serve("/spoken.m4a", Resource::new(lecture));
    let described = delivery_info::ready(&harness.upstream.url("/spoken.m4a"), "Lecture 1", 1021.0);
    harness.upstream.on(delivery_info::PATH, [described]);
    harness.start("submit").await;
    let (pool, mut settings) = (harness.pool().clone(), settings(&harness.upstream.host()));
    settings.fetch.max_bytes = 32 << 20;
    let engine: Arc<dyn Engine> = Arc::new(whisper(model));
    let ctx = Arc::new(environment::create(pool, harness.directory.path(), settings, Some(engine)));
    let stop = CancellationToken::new();
    let worker = tokio::spawn(run_worker(
        Queue::new(ctx.pool.clone()),
        registry(ctx.clone()),
        options(&STAGES),
        stop.clone(),
    ));
    let begun = Instant::now();
    while harness.count("transcribe", "completed").await == 0 {
        assert!(begun.elapsed() < PATIENCE, "no transcript after {PATIENCE:?}");
        let lecture = harness.lecture().await.expect("the lecture");
        assert_eq!(lecture.error_message, None);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    stop.cancel();
    worker.await.expect("no panic").expect("a worker");
    let json = ctx.storage.get_bytes(&keys::transcript_json(LECTURE), 1 << 24).await.expect("a transcript");
    let payload: serde_json::Value = serde_json::from_slice(&json).expect("the payload");
    let pieces = payload["raw"].as_array().map_or(0, Vec::len);
    (serde_json::from_value(payload).expect("the payload"), pieces)
}

fn assert_accurate(model: &str, transcript: &Transcript) -> f64 {
    let spoken = spoken();
    let rate = word_error_rate(&words(&spoken), &transcript.text);
    let mut offsets = offsets(&spoken, &transcript.segments);
    offsets.sort_unstable_by(f64::total_cmp);
    let far = offsets.iter().filter(|offset| **offset > NEAR).count() as f64 / offsets.len() as f64;
    println!(
        "{model}: {:.2} % of the words are wrong; {:.1} % of {} edges are more than {NEAR} s off, half of them less than {:.3} s",
        rate * 100.0,
        far * 100.0,
        offsets.len(),
        offsets[offsets.len() / 2],
    );
    assert!(rate <= WORD_ERROR_RATE, "{rate}");
    assert!(
        offsets.len() > 3 * spoken.len() / 2,
        "only {} edges of {} sentences",
        offsets.len(),
        spoken.len()
    );
    assert!(far <= FAR, "{far}");
    rate
}

#[tokio::test(flavor = "multi_thread")]
async fn the_small_model_transcribes_pieces_as_well_as_one_call() {
    let (transcript, pieces) = transcribed("tiny.en").await;
    let rate = assert_accurate("tiny.en", &transcript);
    assert!(pieces > 1, "it was cut");

    let scratch = tempfile::tempdir().expect("a directory");
    let decoded = scratch.path().join("lecture.f32");
    let media = bedel_media::MediaTools::find().expect("ffmpeg");
    media.decode_pcm(&directory().join("lecture.m4a"), &decoded).await.expect("sound");
    let sound = DecodedAudio::open(&decoded).expect("sound");
    let samples = Arc::new(sound.read(0..sound.samples()).await.expect("samples"));
    let (book, control) = (MemoryCallLog::default(), Control::new(CancellationToken::new(), |_| ()));
    let whole = whisper("tiny.en");
    let heard = whole.transcribe(book.chunk(&samples, None, scratch.path()), &control).await.expect("heard");
    let whole = Transcript::new(whole.describe(), heard, transcript.duration).expect("words");
    let in_one_call = word_error_rate(&words(&spoken()), &whole.text);
    println!("tiny.en in one call: {:.2} %", in_one_call * 100.0);
    assert!(rate <= in_one_call + FOR_THE_PIECES, "{rate} in pieces, {in_one_call} in one call");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_larger_model_transcribes_the_words() {
    assert_accurate("base", &transcribed("base").await.0);
}
