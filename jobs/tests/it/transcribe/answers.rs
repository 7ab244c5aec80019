//! Answers of speech servers that end as a transcript with nothing lost, or as an error.

use std::sync::LazyLock;
use std::time::Duration;

use bedel_speech::remote::{RemoteEngine, RemoteSettings};
use bedel_speech::{
    AudioChunk, Control, EngineError, EngineInfo, GapReason, RawSegment, RawTranscript, Transcript,
};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::*;
use crate::engines::http_proxy::{Fault, HttpProxy};
use crate::environment::speech_server;

const SENTENCES: [&str; 4] = [
    "The first part is about rivers and bridges.",
    "The second part is about clouds and mountains.",
    "The third part is about bees and flowers.",
    "The fourth part is about trains and stations.",
];

/// Four sentences, one every six seconds, spoken `rounds` times, with ffmpeg's `effects`.
fn spoken(rounds: usize, effects: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let graph = |(number, text): (usize, &&str)| {
        let text = text.trim_end_matches('.');
        format!("flite=text='{text}':voice=slt,aresample=16000,apad,atrim=end=6[s{number}]")
    };
    let voices =
        SENTENCES.iter().cycle().take(4 * rounds).enumerate().map(graph).collect::<Vec<_>>().join(";");
    let inputs: String = (0..4 * rounds).map(|number| format!("[s{number}]")).collect();
    let path =
        sound(directory.path(), &format!("{voices};{inputs}concat=n={}:v=0:a=1{effects}", 4 * rounds), &[]);
    (directory, path)
}

static SHORT: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| spoken(1, ""));
static LONG: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| spoken(4, ""));
static BEFORE_SILENCE: LazyLock<(tempfile::TempDir, PathBuf)> =
    LazyLock::new(|| spoken(1, ",apad=pad_dur=40"));

/// The segments of the sentences with these numbers. Times are seconds, multiplied by `per_second`.
fn segments(numbers: impl IntoIterator<Item = usize>, per_second: u64) -> Vec<Value> {
    let segment = |number: usize| {
        let start = number as u64 * 6;
        json!({ "id": number, "start": start * per_second, "end": (start + 3) * per_second, "text": format!(" {}", SENTENCES[number % 4]) })
    };
    numbers.into_iter().map(segment).collect()
}

fn text(rounds: usize) -> String {
    SENTENCES.repeat(rounds).join(" ")
}

fn answer(body: &Value) -> Fault {
    bytes(body.to_string())
}

fn bytes(body: String) -> Fault {
    Fault::Answer {
        status: 200,
        headers: vec![("content-type", "application/json")],
        body: Box::leak(body.into_boxed_str()),
    }
}

/// A lecture whose speech server gives the answers of a proxy.
struct AnswersEnv {
    env: TranscribeEnv,
    proxy: HttpProxy,
    id: Uuid,
}

impl AnswersEnv {
    async fn openai(audio: &Path, answers: impl IntoIterator<Item = Fault>) -> Self {
        Self::new(audio, answers, RemoteEngine::openai).await
    }

    async fn new<E: std::fmt::Debug>(
        audio: &Path,
        answers: impl IntoIterator<Item = Fault>,
        engine: impl Fn(RemoteSettings, bedel_media::MediaTools) -> Result<RemoteEngine, E>,
    ) -> Self {
        let proxy = HttpProxy::start(&"http://127.0.0.1:9/v1".parse().expect("an address")).await;
        proxy.answer_with(answers);
        let settings =
            RemoteSettings { unknown_state: Duration::from_millis(300), ..speech_server(&proxy.url) };
        let engine = engine(settings, bedel_media::MediaTools::find().expect("ffmpeg")).expect("a client");
        let env = TranscribeEnv::new(Some(Arc::new(engine))).await;
        let id = env.lecture(audio).await;
        Self { env, proxy, id }
    }

    async fn run(&self) -> Result<Transcribed, JobError> {
        Ok(self.env.run(self.id).await?.expect("a lecture"))
    }

    async fn transcript(&self) -> Transcript {
        let stored = self.env.ctx.storage.get_bytes(&keys::transcript_json(self.id), 1 << 20).await;
        serde_json::from_slice(&stored.expect("a transcript")).expect("the payload")
    }

    async fn captions(&self) -> String {
        let stored = self.env.ctx.storage.get_bytes(&keys::transcript_vtt(self.id), 1 << 20).await;
        String::from_utf8(stored.expect("captions").to_vec()).expect("text")
    }

    /// What follows the samples in the idempotency key of each request: `0`, or `again-0`.
    fn keys(&self) -> Vec<String> {
        let seen = self.proxy.requests();
        let key = |request: &crate::engines::http_proxy::PassedRequest| {
            let key = request.header("idempotency-key").expect("a key").to_owned();
            key.splitn(5, '-').nth(4).expect("five parts").to_owned()
        };
        seen.iter().filter(|request| request.method == "POST").map(key).collect()
    }
}

/// Asserts that all sentences are there, each within a second of its time.
fn assert_whole(made: &Transcript, rounds: usize) {
    assert_eq!(made.text, text(rounds));
    for (number, sentence) in SENTENCES.repeat(rounds).into_iter().enumerate() {
        let start = number as f64 * 6.0;
        let is_there = |segment: &bedel_speech::transcript::Segment| {
            segment.text == sentence && (segment.start - start).abs() < 1.0 && segment.end > segment.start
        };
        assert!(made.segments.iter().any(is_there), "{sentence} at {start}: {:?}", made.segments);
    }
}

#[tokio::test]
async fn a_server_that_heard_thirty_seconds_makes_no_transcript() {
    let short = json!({ "duration": "30.0", "text": text(1), "segments": segments(0..4, 1) });
    let env = AnswersEnv::openai(&LONG.1, [answer(&short), answer(&short)]).await;
    for _ in 0..2 {
        let error = env.run().await.expect_err("it heard a third");
        assert_eq!(decision(&error), ("engine", "retry"));
        assert!(error.to_string().contains("30.0 of the 96.0 seconds"), "{error}");
    }
    assert_eq!(env.keys().len(), 2, "one call in each attempt");

    let whole = json!({ "duration": 95_900, "text": text(4), "segments": segments(0..16, 1) });
    env.proxy.answer_with([answer(&whole)]);
    env.run().await.expect("a transcript");
    assert_whole(&env.transcript().await, 4);
}

#[tokio::test]
async fn a_length_that_ends_with_the_words_is_checked_against_the_sound() {
    let window = answer(&json!({ "duration": 21.0, "text": text(1), "segments": segments(0..4, 1) }));
    let env = AnswersEnv::openai(&LONG.1, [window.clone()]).await;
    let error = env.run().await.expect_err("it heard a quarter");
    assert!(error.to_string().contains("21.0 of the 96.0 seconds"), "{error}");

    let env = AnswersEnv::openai(&BEFORE_SILENCE.1, [window]).await;
    env.run().await.expect("a transcript");
    assert_whole(&env.transcript().await, 1);
    assert_eq!((env.transcript().await.gaps, env.keys().len()), (vec![], 1));
}

#[tokio::test]
async fn a_poor_second_answer_does_not_replace_a_good_first_one() {
    let lost = json!({ "text": text(1), "segments": segments([0, 1, 3], 1) });
    for poor in [
        json!({ "text": "", "segments": [] }),
        json!({ "text": "Thank you.", "segments": [{ "start": 0, "end": 2, "text": "Thank you." }] }),
    ] {
        let env = AnswersEnv::openai(&SHORT.1, [answer(&lost), answer(&poor)]).await;
        env.run().await.expect("a transcript");
        let made = env.transcript().await;
        assert_eq!((made.text, made.gaps.len(), env.keys().len()), (text(1), 1, 2), "{poor}");
    }
}

#[tokio::test]
async fn times_of_any_unit_words_and_broken_json_are_read() {
    let spoken = |per_second| json!({ "text": text(1), "segments": segments(0..4, per_second) });
    let words: Vec<Value> = (0..4)
        .flat_map(|number| {
            let words = SENTENCES[number].trim_end_matches('.').split(' ').enumerate();
            words.map(move |(at, word)| {
                let start = number as f64 * 6.0 + at as f64 * 0.3;
                json!({ "word": word, "start": start, "end": start + 0.3 })
            })
        })
        .collect();
    let strange = spoken(1)
        .to_string()
        .replace("\"id\":1", "\"id\":1,\"avg_logprob\":NaN,\"no_speech_prob\":-Infinity");
    let mut mixed = segments([2, 0, 3, 1, 0], 1);
    mixed.push(json!({ "start": 6.0, "end": 6.0, "text": "" }));
    let answers = [
        answer(&spoken(1)),
        answer(&spoken(1_000)),
        answer(&spoken(1_000_000)),
        answer(&spoken(1_000_000_000)),
        bytes(format!("\u{feff}{strange}")),
        answer(&json!({ "text": text(1), "segments": [], "words": words })),
        answer(&json!({ "text": text(1), "segments": mixed })),
    ];
    for (number, fault) in answers.into_iter().enumerate() {
        let env = AnswersEnv::openai(&SHORT.1, [fault]).await;
        env.run().await.unwrap_or_else(|error| panic!("{number}: {error}"));
        let made = env.transcript().await;
        assert_whole(&made, 1);
        assert!(made.gaps.is_empty() && env.keys().len() == 1, "{number}: {:?}", made.gaps);
    }
}

#[tokio::test]
async fn words_that_only_the_text_has_are_asked_for_again_and_kept_with_a_mark() {
    let lost = answer(&json!({ "text": text(1), "segments": segments([0, 1, 3], 1) }));
    let whole = answer(&json!({ "text": text(1), "segments": segments(0..4, 1) }));
    let env = AnswersEnv::openai(&SHORT.1, [lost.clone(), whole]).await;
    env.run().await.expect("a transcript");
    assert_eq!(env.transcript().await.gaps, []);
    assert_whole(&env.transcript().await, 1);

    let env = AnswersEnv::openai(&SHORT.1, [lost.clone(), lost]).await;
    env.run().await.expect("a transcript");
    assert_eq!(env.keys().iter().map(|key| key.contains("again")).collect::<Vec<_>>(), [false, true]);
    let made = env.transcript().await;
    assert_eq!((made.text.as_str(), made.gaps.len()), (text(1).as_str(), 1), "{:?}", made.gaps);
    let gap = made.gaps[0];
    assert_eq!(gap.reason, GapReason::LostWords);
    assert!((9.0..10.0).contains(&gap.start) && (17.0..18.5).contains(&gap.end), "{gap:?}");
    let captions = env.captions().await.replace('\n', " ");
    assert!(captions.contains("[times estimated] The third part is about bees"), "{captions}");
}

#[tokio::test]
async fn speech_without_words_is_asked_for_again_and_marked() {
    // It heard one window, and does not say so.
    let window = answer(&json!({ "text": text(1), "segments": segments(0..4, 1) }));
    let whole = answer(&json!({ "text": text(4), "segments": segments(0..16, 1) }));
    let env = AnswersEnv::openai(&LONG.1, [window.clone(), whole]).await;
    env.run().await.expect("a transcript");
    assert_eq!((env.transcript().await.gaps, env.keys().len()), (vec![], 2));
    assert_whole(&env.transcript().await, 4);

    let env = AnswersEnv::openai(&LONG.1, [window.clone(), window]).await;
    env.run().await.expect("a transcript");
    let made = env.transcript().await;
    assert_eq!((made.gaps.len(), env.keys().len()), (1, 2), "{:?}", made.gaps);
    let gap = made.gaps[0];
    assert_eq!(gap.reason, GapReason::NoWords);
    assert!((21.0..26.0).contains(&gap.start) && (88.0..96.1).contains(&gap.end), "{gap:?}");
    let captions = env.captions().await;
    assert!(captions.contains("[no transcript for 00:00:2"), "{captions}");
    // The next attempt finds the piece, and does not ask a third time.
    env.run().await.expect("a transcript");
    assert_eq!((env.transcript().await, env.keys().len()), (made, 2));
}

#[tokio::test]
async fn an_attempt_that_ends_between_two_requests_pays_for_neither_twice() {
    let window = answer(&json!({ "text": text(1), "segments": segments(0..4, 1) }));
    let whole = answer(&json!({ "text": text(4), "segments": segments(0..16, 1) }));
    let busy = Fault::Answer { status: 503, headers: Vec::new(), body: "" };
    let env = AnswersEnv::openai(&LONG.1, [window.clone(), busy, whole]).await;
    let error = env.run().await.expect_err("busy");
    assert_eq!(decision(&error), ("engine-busy", "wait"));
    env.run().await.expect("a transcript");
    let again: Vec<bool> = env.keys().iter().map(|key| key.contains("again")).collect();
    assert_eq!(again, [false, true, true], "the first answer was stored");
    assert_eq!(env.transcript().await.gaps, []);

    // A failed second request costs no transcript.
    let broken = Fault::Answer { status: 500, headers: Vec::new(), body: "" };
    let env = AnswersEnv::openai(&LONG.1, [window, broken]).await;
    env.run().await.expect("a transcript");
    assert_eq!((env.transcript().await.gaps.len(), env.keys().len()), (1, 2));
}

#[tokio::test]
async fn tasks_end_in_every_published_state_and_unknown_states_soon() {
    let taken = answer(&json!({ "task_id": "t" }));
    let whole = json!({ "text": text(1), "segments": segments(0..4, 1) });
    for state in ["REVOKED", "canceled", "aborted", "FAILURE", "expired", "rejected"] {
        let ended = answer(&json!({ "status": state }));
        let env = AnswersEnv::new(&SHORT.1, [taken.clone(), ended], RemoteEngine::task).await;
        let error = env.run().await.expect_err(state);
        assert_eq!((decision(&error), env.proxy.requests().len()), (("engine", "retry"), 2), "{state}");
    }
    for done in [
        whole.clone(),
        json!({ "state": "SUCCESS", "result": whole }),
        json!({ "done": true, "response": whole }),
        json!({ "job": { "status": "done" }, "output": [whole] }),
    ] {
        let waiting = [
            json!({ "state": "PENDING" }),
            json!({ "status": "RETRY" }),
            json!(null),
            json!({ "status": "ok", "result": null }),
        ];
        let answers = [taken.clone()].into_iter().chain(waiting.iter().map(answer)).chain([answer(&done)]);
        let env = AnswersEnv::new(&SHORT.1, answers, RemoteEngine::task).await;
        env.run().await.unwrap_or_else(|error| panic!("{done}: {error}"));
        assert_whole(&env.transcript().await, 1);
    }
    let silent = answer(&json!({ "text": "", "segments": [] }));
    let env = AnswersEnv::new(&SHORT.1, [taken.clone(), silent], RemoteEngine::task).await;
    let error = env.run().await.expect_err("silence");
    assert_eq!((error.class(), env.proxy.requests().len()), ("no-speech", 2), "{error}");
    for unknown in [
        json!({ "status": "thinking" }),
        json!({ "status": "completed", "result": null }),
        json!({ "text": "" }),
        json!([]),
    ] {
        let answers = [taken.clone()].into_iter().chain(std::iter::repeat_n(answer(&unknown), 1000));
        let env = AnswersEnv::new(&SHORT.1, answers, RemoteEngine::task).await;
        let error = env.run().await.expect_err("an unknown state");
        assert_eq!(decision(&error), ("engine", "retry"), "{unknown}");
        assert!(error.to_string().contains("not known"), "{error}");
        assert!(env.proxy.requests().len() >= 3, "it was polled for a while");
    }
}

/// An engine of this process that returns nothing behind the first 24 seconds of a long chunk.
#[derive(Debug)]
struct Drowsy {
    /// Whether it hears what it missed, alone.
    hears_rest: bool,
    chunks: std::sync::Mutex<Vec<usize>>,
}

impl Engine for Drowsy {
    fn describe(&self) -> EngineInfo {
        EngineInfo { engine: "drowsy".to_owned(), model: "m".to_owned() }
    }

    fn with_model(&self, _: &str) -> Option<Arc<dyn Engine>> {
        None
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        Ok("drowsy".to_owned())
    }

    fn transcribe<'a>(
        &'a self,
        chunk: AudioChunk<'a>,
        _: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(async move {
            let seconds = chunk.samples.len() as f64 / 16_000.0;
            let number = {
                let mut chunks = self.chunks.lock().expect("no panic");
                chunks.push(chunk.samples.len());
                chunks.len()
            };
            let segment = |start, end, text: &str| RawSegment { start, end, text: text.to_owned() };
            let segments = match number {
                1 => vec![segment(0.0, 24.0, "The first part.")],
                _ if self.hears_rest => vec![segment(0.0, seconds, "The rest of it.")],
                _ => Vec::new(),
            };
            Ok(RawTranscript {
                language: "en".to_owned(),
                segments,
                gaps: Vec::new(),
                raw: json!({ "n": number }),
            })
        })
    }
}

#[tokio::test]
async fn an_engine_of_this_process_hears_the_silent_stretch_alone() {
    for hears_rest in [true, false] {
        let engine = Arc::new(Drowsy { hears_rest, chunks: std::sync::Mutex::default() });
        let env = TranscribeEnv::new(Some(engine.clone())).await;
        let id = env.lecture(&LONG.1).await;
        let output = env.run(id).await.expect("a transcript").expect("a lecture");
        assert_eq!(output.transcribed_seconds, output.audio_seconds, "counted once");
        let chunks = engine.chunks.lock().expect("no panic").clone();
        assert_eq!(chunks.len(), 2);
        assert!((60 * 16_000..75 * 16_000).contains(&chunks[1]), "{chunks:?}");
        let stored =
            env.ctx.storage.get_bytes(&keys::transcript_json(id), 1 << 20).await.expect("a transcript");
        let json: Value = serde_json::from_slice(&stored).expect("JSON");
        let made: Transcript = serde_json::from_value(json.clone()).expect("the payload");
        assert_eq!(made.gaps.len(), usize::from(!hears_rest), "{:?}", made.gaps);
        assert_eq!(json.get("gaps").is_some(), !hears_rest, "left out where there are none");
        if hears_rest {
            assert_eq!(made.text, "The first part. The rest of it.");
            let last = made.segments.last().expect("two");
            assert!((21.0..26.0).contains(&last.start) && last.end > 88.0, "{last:?}");
            assert_eq!(json["raw"][1]["answer"]["n"], 2);
        }
    }
}
