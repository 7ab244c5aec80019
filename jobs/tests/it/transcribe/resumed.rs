//! A long recording in pieces; no piece is transcribed twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use bedel_jobs::cleanup_orphans::CleanupOrphans;
use bedel_speech::{AudioChunk, Control, EngineError, EngineInfo, RawSegment, RawTranscript, Transcript};
use futures::future::BoxFuture;
use serde_json::Value;

use super::*;

const RATE: usize = 16_000;

/// Seventeen minutes with a pause at the end of every seven seconds.
static RECORDING: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let tone = "aevalsrc='0.3*sin(2*PI*(200+t)*t)*lt(mod(t\\,7)\\,6.5)':s=16000:d=1020";
    let path = sound(directory.path(), tone, &["-b:a", "32k"]);
    (directory, path)
});

/// Answers with the length of each piece, and fails once at each configured piece.
#[derive(Debug, Default)]
pub struct Listener {
    mark: &'static str,
    pub stumbles_at: Mutex<Vec<usize>>,
    /// A file that it creates at its first call.
    blocks: Option<PathBuf>,
    /// Another model than `one`.
    model: Option<String>,
    calls: AtomicUsize,
    heard: AtomicUsize,
}

impl Listener {
    pub fn stumbling_at(pieces: &[usize]) -> Arc<Self> {
        Arc::new(Self { stumbles_at: Mutex::new(pieces.to_vec()), ..Self::default() })
    }
}

impl Engine for Listener {
    fn describe(&self) -> EngineInfo {
        let model = self.model.clone().unwrap_or_else(|| "one".to_owned());
        EngineInfo { engine: "listener".to_owned(), model }
    }

    fn with_model(&self, model: &str) -> Option<Arc<dyn Engine>> {
        let stumbles_at = Mutex::new(self.stumbles_at.lock().expect("no panic").clone());
        let model = Some(model.to_owned());
        Some(Arc::new(Self { mark: self.mark, stumbles_at, model, ..Self::default() }))
    }

    fn fingerprint(&self) -> Result<String, EngineError> {
        Ok(self.mark.to_owned())
    }

    fn transcribe<'a>(
        &'a self,
        passage: AudioChunk<'a>,
        control: &'a Control,
    ) -> BoxFuture<'a, Result<RawTranscript, EngineError>> {
        Box::pin(async move {
            let samples = passage.samples;
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if let Some(block) = self.blocks.as_ref().filter(|_| call == 0) {
                std::fs::create_dir_all(block.parent().expect("a directory")).expect("a directory");
                std::fs::write(block, "").expect("a file");
            }
            control.report(0.5);
            if self.stumbles_at.lock().expect("no panic").contains(&call) {
                return Err(EngineError::Failed("it stumbled".to_owned()));
            }
            self.heard.fetch_add(samples.len(), Ordering::SeqCst);
            let loud = |sample: &f32| sample.abs() > 0.05;
            let begins = samples.iter().position(loud).expect("sound");
            let ends = samples.len() - samples.iter().rev().position(loud).expect("sound");
            let second = |sample: usize| sample as f64 / RATE as f64;
            let text = format!("{} samples", samples.len());
            let segments = vec![RawSegment { start: second(begins), end: second(ends), text }];
            Ok(RawTranscript { language: "en".to_owned(), segments, gaps: Vec::new(), raw: Value::Null })
        })
    }
}

pub async fn with(env: &TranscribeEnv, engine: &Arc<Listener>) -> Context {
    let (pool, settings) = (env.ctx.pool.clone(), env.ctx.settings.clone());
    let directory = env.base.storage_dir.parent().expect("a directory");
    Arc::new(create(pool, directory, settings, Some(engine.clone())))
}

async fn run(ctx: &Context, id: Uuid) -> Result<Transcribed, JobError> {
    let output = Transcribe::new(id).run(ctx, &Attempt::detached(Some(id))).await?;
    Ok(output.expect("a lecture"))
}

async fn transcript(env: &TranscribeEnv, id: Uuid) -> Transcript {
    let json = env.ctx.storage.get_bytes(&keys::transcript_json(id), 1 << 20).await.expect("a transcript");
    serde_json::from_slice(&json).expect("the payload")
}

async fn pieces(env: &TranscribeEnv, id: Uuid) -> Vec<String> {
    let listed = env.ctx.storage.list(&keys::audio_temp_prefix(id)).await.expect("a listing");
    let mut names: Vec<String> = listed.into_iter().map(|stored| stored.key).collect();
    names.sort_by_key(|name| name.len());
    names
}

#[tokio::test]
async fn an_attempt_resumes_after_the_pieces_of_the_last_one() {
    let env = TranscribeEnv::new(None).await;
    let id = env.lecture(&RECORDING.1).await;
    let steady = Listener::stumbling_at(&[]);
    let undisturbed = run(&with(&env, &steady).await, id).await.expect("a transcript");
    let wanted = transcript(&env, id).await;
    assert_eq!((undisturbed.pieces, wanted.segments.len()), (3, 3), "{wanted:?}");
    let whole = steady.heard.load(Ordering::SeqCst);
    assert_eq!(undisturbed.transcribed_seconds, undisturbed.audio_seconds);
    // Cuts fall in the middle of pauses, and nothing is lost at the seams.
    for seam in wanted.segments.windows(2) {
        let pause = seam[1].start - seam[0].end;
        assert!((0.3..0.7).contains(&pause), "{pause} s between {seam:?}");
        assert!(((seam[0].end + 0.5) % 7.0).min(7.0 - (seam[0].end + 0.5) % 7.0) < 0.2, "{seam:?}");
    }

    let id = env.lecture(&RECORDING.1).await;
    let stumbling = Listener::stumbling_at(&[1, 3]);
    let ctx = with(&env, &stumbling).await;
    for stored in 1..=2 {
        let error = run(&ctx, id).await.expect_err("it stumbles");
        assert_eq!(decision(&error), ("engine", "retry"));
        assert_eq!(pieces(&env, id).await.len(), stored);
    }
    let output = run(&ctx, id).await.expect("a transcript");
    assert_eq!(transcript(&env, id).await, wanted);
    assert_eq!(stumbling.heard.load(Ordering::SeqCst), whole, "no sample was transcribed twice");
    assert_eq!(output.pieces, 3);
    assert!(output.transcribed_seconds < output.audio_seconds / 2.0, "{output:?}");

    // Finished pieces are there for an attempt that only has to store the transcript, and are removed when
    // the lecture is completed.
    let again = run(&ctx, id).await.expect("a transcript");
    assert_eq!((again.transcribed_seconds, again.real_time_factor), (0.0, None));
    let commit = env.commit(id, Some(again)).await;
    assert!(shown(&commit).contains("cleanup-orphans"), "{commit:?}");
    let cleanup = CleanupOrphans { lecture_id: Some(id), dry_run: false };
    bedel_jobs::installation::tie(&env.ctx.storage, &env.ctx.pool).await.expect("a marked storage");
    cleanup.run(&env.ctx, &Attempt::detached(None)).await.expect("cleaned up");
    assert_eq!(pieces(&env, id).await, Vec::<String>::new());
}

#[tokio::test]
async fn pieces_of_another_model_or_sound_are_not_reused() {
    let env = TranscribeEnv::new(None).await;
    let id = env.lecture(&RECORDING.1).await;
    let stumbling = Listener::stumbling_at(&[1]);
    run(&with(&env, &stumbling).await, id).await.expect_err("it stumbles");
    let another = Arc::new(Listener { mark: "another", ..Listener::default() });
    let output = run(&with(&env, &another).await, id).await.expect("a transcript");
    assert_eq!(output.transcribed_seconds, output.audio_seconds, "another model");

    let directory = tempfile::tempdir().expect("a directory");
    let other = sound(directory.path(), "sine=duration=700", &[]);
    env.ctx.storage.put_file(&keys::audio(id), &other).await.expect("stored");
    let output = run(&with(&env, &another).await, id).await.expect("a transcript");
    assert_eq!(output.transcribed_seconds, output.audio_seconds, "another sound");
}

#[tokio::test]
async fn an_unreadable_piece_is_transcribed_again() {
    let env = TranscribeEnv::new(None).await;
    let id = env.lecture(&RECORDING.1).await;
    let engine = Listener::stumbling_at(&[]);
    let ctx = with(&env, &engine).await;
    run(&ctx, id).await.expect("a transcript");
    let stored = pieces(&env, id).await;
    assert_eq!(stored.len(), 3);
    let first = env.ctx.storage.get_bytes(&stored[0], 1 << 20).await.expect("a piece");
    let first: Value = serde_json::from_slice(&first).expect("a piece");
    let first = usize::try_from(first["end"].as_u64().expect("its end")).expect("samples");
    let ending_at = |end: u64| format!("{{\"start\":0,\"end\":{end},\"language\":\"en\",\"segments\":[]}}");
    for damage in [String::new(), ending_at(0), ending_at(1 << 40)] {
        env.ctx.storage.put_bytes(&stored[0], damage.clone().into()).await.expect("damaged");
        let before = engine.heard.load(Ordering::SeqCst);
        run(&ctx, id).await.expect("a transcript");
        assert_eq!(engine.heard.load(Ordering::SeqCst) - before, first, "{damage:?}");
    }
}

#[tokio::test]
async fn a_finished_piece_waits_for_storage_to_recover() {
    let env = TranscribeEnv::new(None).await;
    let id = env.lecture(&RECORDING.1).await;
    // Nothing can be stored below a file.
    let block = env.base.storage_dir.join("audio_tmp").join(id.to_string());
    let engine = Arc::new(Listener { blocks: Some(block.clone()), ..Listener::default() });
    let ctx = with(&env, &engine).await;
    let mut work = tokio::spawn(async move { run(&ctx, id).await });
    let heard = async || {
        while engine.heard.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = &mut work => panic!("before anything was heard: {ended:?}"),
        () = heard() => {}
    }
    // It would fail at once.
    let given_up = tokio::time::timeout(Duration::from_millis(500), &mut work).await;
    assert!(given_up.is_err(), "{given_up:?}");
    assert_eq!(engine.calls.load(Ordering::SeqCst), 1, "no further piece is paid for");
    std::fs::remove_file(&block).expect("removed");
    let output = work.await.expect("no panic").expect("a transcript");
    assert_eq!((output.pieces, engine.calls.load(Ordering::SeqCst)), (3, 3));
}
