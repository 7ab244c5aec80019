//! Interrupted downloads that resume, within an attempt and in the next one.

use std::sync::LazyLock;
use std::time::Duration;

use bedel_queue::JobError;
use bedel_storage::keys;
use bedel_upstream::{Fault, Reply, Resource};
use uuid::Uuid;

use crate::download::attempt;
use crate::environment::{UpstreamEnv, decision};
use crate::recordings;

/// Twenty seconds of a tone, 1.9 MB.
static RECORDING: LazyLock<Vec<u8>> = LazyLock::new(|| recording(20));
/// Its replacement: ten seconds.
static OTHER: LazyLock<Vec<u8>> = LazyLock::new(|| recording(10));

fn recording(seconds: u32) -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    let tone = recordings::tone(seconds);
    let args = ["-f", "lavfi", "-i", &tone, "-ar", "48000", "-ac", "1", "-c:a", "pcm_s16le"];
    std::fs::read(recordings::ffmpeg(&args, &directory.path().join("tone.wav"))).expect("the file")
}

async fn run(env: &UpstreamEnv, id: Uuid) -> Result<(), JobError> {
    env.download(id, &attempt(id)).await.map(drop)
}

async fn stored_seconds(env: &UpstreamEnv, id: Uuid) -> f64 {
    let audio = env.ctx.storage.local_path(&keys::audio(id)).expect("local storage");
    env.ctx.media.measure_sound(&audio).await.expect("sound").seconds
}

/// The `Range` headers of all requests for the recording, in order.
fn asked(env: &UpstreamEnv) -> Vec<Option<String>> {
    let requests = env.upstream.requests_to("/lecture");
    requests.iter().map(|request| request.header("range").map(str::to_owned)).collect()
}

fn left(env: &UpstreamEnv, id: Uuid) -> bool {
    env.ctx.downloads.join(id.to_string()).exists()
}

#[tokio::test]
async fn a_download_cut_at_ninety_per_cent_fetches_only_the_rest() {
    let env = UpstreamEnv::patient().await;
    let id = env.lecture(&env.upstream.url("/lecture")).await;
    let at = RECORDING.len() / 10 * 9;
    let resource = Resource::new(RECORDING.clone()).first(1, Fault::CutAt(at));
    let mark = resource.etag().to_owned();
    env.upstream.serve("/lecture", resource);
    run(&env, id).await.expect("one attempt is enough");
    let requests = env.upstream.requests_to("/lecture");
    assert_eq!(requests[1].header("if-range"), Some(mark.as_str()), "of that very file");
    assert!((stored_seconds(&env, id).await - 20.0).abs() < 0.2);
    assert_eq!(asked(&env), [None, Some(format!("bytes={at}-"))]);
    let (sent, whole) = (env.upstream.bytes_sent("/lecture"), RECORDING.len() as u64);
    assert!(sent <= whole * 102 / 100, "{sent} of {whole} bytes");
    assert!(!left(&env, id), "nothing stays of it");
}

#[tokio::test]
async fn the_next_attempt_resumes_where_the_last_one_ended() {
    let env = UpstreamEnv::patient().await;
    let id = env.lecture(&env.upstream.url("/lecture?Signature=first")).await;
    let at = RECORDING.len() / 2;
    let trouble = || Reply::html(500, "<html>oops");
    env.upstream.serve(
        "/lecture",
        Resource::new(RECORDING.clone()).first(1, Fault::CutAt(at)).first(3, Fault::Latency(Duration::ZERO)),
    );
    // The first request breaks off; the second, for the rest, meets a failing server.
    env.upstream
        .serve("/lecture", Resource::new(RECORDING.clone()).after(1, trouble()).first(1, Fault::CutAt(at)));
    let error = run(&env, id).await.expect_err("in trouble");
    assert_eq!(decision(&error), ("upstream-error", "retry"));
    assert!(left(&env, id), "it stays for the next attempt");

    env.upstream.serve("/lecture", Resource::new(RECORDING.clone()));
    env.execute("UPDATE lectures SET stream_url = replace(stream_url, 'first', 'second') WHERE id = $1", id)
        .await;
    run(&env, id).await.expect("the rest");
    assert_eq!(asked(&env).last(), Some(&Some(format!("bytes={at}-"))), "with another signature too");
    assert!(env.upstream.bytes_sent("/lecture") <= RECORDING.len() as u64 * 102 / 100);
    assert!((stored_seconds(&env, id).await - 20.0).abs() < 0.2);
    assert!(!left(&env, id));
}

/// However a server answers the request for the rest, the assembled file is the same.
#[tokio::test]
async fn no_two_files_are_ever_mixed() {
    let at = RECORDING.len() / 2;
    let cut = || Resource::new(RECORDING.clone()).first(1, Fault::CutAt(at));
    let table = [
        ("all of it again", cut().after(1, Fault::IgnoreRange), 20.0),
        ("no range at all", cut().after(1, Fault::RefuseRange), 20.0),
        ("another range", cut().after(1, Fault::RangeFrom(7)), 20.0),
        ("a range that is none", cut().after(1, Fault::ContentRange("bytes 1-2".to_owned())), 20.0),
        (
            "a range of a shorter file",
            cut().after(1, Fault::ContentRange(format!("bytes {at}-{}/{}", at + 9, at + 10))),
            20.0,
        ),
        ("another file", cut().after(1, Fault::Body(OTHER.clone().into())), 10.0),
        ("another version", cut().after(1, Fault::Etag("\"other\"".to_owned())), 20.0),
    ];
    for (name, resource, seconds) in table {
        let env = UpstreamEnv::patient().await;
        let id = env.lecture(&env.upstream.url("/lecture")).await;
        env.upstream.serve("/lecture", resource);
        // A download that cannot resume within the attempt starts over in a later one.
        let mut outcome = run(&env, id).await;
        for _ in 0..2 {
            if outcome.is_err() {
                outcome = run(&env, id).await;
            }
        }
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        let stored = stored_seconds(&env, id).await;
        assert!((stored - seconds).abs() < 0.2, "{name}: {stored}");
    }
}

/// A server that ignores `If-Range` and sends a range of another version.
#[tokio::test]
async fn a_range_of_another_version_is_refused() {
    let env = UpstreamEnv::patient().await;
    let id = env.lecture(&env.upstream.url("/lecture")).await;
    let (whole, at) = (RECORDING.len(), RECORDING.len() / 2);
    let range = format!("bytes {at}-{}/{whole}", whole - 1);
    let rest = Reply::new(206, "video/mp4", vec![0; whole - at]).header("content-range", &range);
    env.upstream.on(
        "/lecture",
        [
            Reply::media(RECORDING.clone()).header("etag", "\"one\"").cut_at(at),
            rest.header("etag", "\"two\""),
            Reply::media(RECORDING.clone()).header("etag", "\"two\""),
        ],
    );
    run(&env, id).await.expect("fetched anew");
    assert_eq!(asked(&env), [None, Some(format!("bytes={at}-")), None]);
    let audio = env.ctx.storage.local_path(&keys::audio(id)).expect("local storage");
    let sound = env.ctx.media.measure_sound(&audio).await.expect("sound");
    assert!(sound.audible_share > 0.9, "no half of it is silent: {sound:?}");
}

#[tokio::test]
async fn without_a_validator_a_file_is_fetched_again() {
    let env = UpstreamEnv::patient().await;
    let id = env.lecture(&env.upstream.url("/lecture")).await;
    let at = RECORDING.len() / 2;
    let resource = Resource::new(RECORDING.clone()).always(Fault::NoValidators).first(1, Fault::CutAt(at));
    env.upstream.serve("/lecture", resource);
    assert_eq!(decision(&run(&env, id).await.expect_err("cut")), ("truncated", "retry"));
    run(&env, id).await.expect("anew");
    assert_eq!(asked(&env), [None, None]);
    assert!((stored_seconds(&env, id).await - 20.0).abs() < 0.2);
}

/// The file is complete, but the attempt ended before it was stored.
#[tokio::test]
async fn a_complete_file_is_not_fetched_again() {
    let env = UpstreamEnv::patient().await;
    let id = env.lecture(&env.upstream.url("/lecture")).await;
    env.upstream.serve("/lecture", Resource::new(RECORDING.clone()));
    // A file in place of the storage's directory.
    let in_the_way = env.storage_dir.join("audio_tmp");
    std::fs::create_dir_all(&env.storage_dir).expect("a directory");
    std::fs::write(&in_the_way, b"").expect("written");
    let error = run(&env, id).await.expect_err("it cannot be stored");
    assert!(!error.is_fatal(), "{error}");
    std::fs::remove_file(&in_the_way).expect("removed");
    run(&env, id).await.expect("stored");
    assert_eq!(asked(&env), [None]);
}
