//! Recordings published as playlists: every form, and every fault. No hole ever becomes audio.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use bedel_jobs::download::Checkpoint;
use bedel_jobs::download::Download;
use bedel_queue::{Attempt, Job, JobError};
use bedel_storage::keys;
use bedel_upstream::hls::{self, Encryption, Hls, HlsOptions, Kind, Rendition, Variant};
use bedel_upstream::media::identify_seconds;
use bedel_upstream::{Canary, Fault, Reply, Resource, Upstream};
use url::Url;
use uuid::Uuid;

use crate::download::attempt;
use crate::environment::{PATIENCE, UpstreamEnv, decision};

mod odd;

/// Twelve seconds in three segments.
static PLAIN: LazyLock<Hls> = LazyLock::new(|| made(&HlsOptions::default()));
/// Thirty seconds in fifteen.
static LONG: LazyLock<Hls> =
    LazyLock::new(|| made(&HlsOptions { seconds: 30, segment_seconds: 2, ..HlsOptions::default() }));

fn made(options: &HlsOptions) -> Hls {
    Hls::make(tempfile::tempdir().expect("a directory").path(), options)
}

impl UpstreamEnv {
    /// Downloads the playlist's recording and returns its announced length.
    async fn fetch_recording(&self, id: Uuid, attempt: &Attempt) -> Result<f64, JobError> {
        let job = Download { lecture_id: id, announced_seconds: None };
        let audio = job.run(&self.ctx, attempt).await?.expect("the lecture exists");
        Ok(audio.announced_seconds.expect("a playlist says how long it is"))
    }

    /// The seconds heard in the stored audio.
    fn heard(&self, id: Uuid) -> Vec<Option<u32>> {
        identify_seconds(&self.ctx.storage.local_path(&keys::audio(id)).expect("local storage"))
    }

    async fn nothing_is_stored(&self, when: &str) {
        assert!(self.keys().await.is_empty(), "{when}: {:?}", self.keys().await);
        assert!(self.scratch().is_empty(), "{when}: {:?}", self.scratch());
    }
}

fn whole(seconds: u32) -> Vec<Option<u32>> {
    (0..seconds).map(Some).collect()
}

#[tokio::test]
async fn every_form_of_a_playlist_becomes_the_same_sound() {
    let key = *b"sixteen bytes ok";
    let (once, each) = (Encryption::Aes128 { key, rotate: false }, Encryption::Aes128 { key, rotate: true });
    let forms = [
        (Kind::Ts, Encryption::None, false),
        (Kind::Ts, Encryption::None, true),
        (Kind::Ts, once, false),
        (Kind::Ts, each, false),
        (Kind::Fmp4, Encryption::None, false),
        (Kind::Fmp4, Encryption::None, true),
        (Kind::Fmp4, each, false),
        (Kind::ByteRanges, Encryption::None, false),
        (Kind::PackedAac, Encryption::None, false),
        (Kind::PackedAac, once, false),
        (Kind::Ts, Encryption::ZeroPadded { key }, false),
        (Kind::Fmp4, Encryption::ZeroPadded { key }, true),
        (Kind::PackedAac, Encryption::ZeroPadded { key }, false),
    ];
    let env = UpstreamEnv::patient().await;
    for (kind, encryption, video) in forms {
        let form = format!("{kind:?} {encryption:?} video={video}");
        let hls = made(&HlsOptions { kind, encryption, video, ..HlsOptions::default() });
        let id = env
            .lecture(&env.upstream.serve_hls("/x.hls", &hls.clone().with_playlist_name("index.panobf2")))
            .await;
        let announced =
            env.fetch_recording(id, &attempt(id)).await.unwrap_or_else(|error| panic!("{form}: {error}"));
        assert!((announced - hls.seconds()).abs() < 0.01, "{form}: {announced}");
        assert_eq!(env.heard(id), whole(12), "{form}");
        assert!(!env.ctx.downloads.join(id.to_string()).exists(), "{form}: nothing stays of it");
        env.ctx.storage.delete(&keys::audio(id)).await.expect("deleted");
        env.execute("DELETE FROM lectures WHERE id = $1", id).await;
    }
}

#[tokio::test]
async fn ranges_without_offsets_and_breaks_are_understood() {
    let env = UpstreamEnv::patient().await;
    let ranges = made(&HlsOptions { kind: Kind::ByteRanges, ..HlsOptions::default() });
    env.upstream.serve_hls("/r.hls", &ranges);
    env.upstream.on("/r.hls/index.m3u8", [ranges.playlist().clone().without_offsets().reply()]);
    let id = env.lecture(&env.upstream.url("/r.hls/index.m3u8")).await;
    env.fetch_recording(id, &attempt(id)).await.expect("downloaded");
    assert_eq!(env.heard(id), whole(12));

    // Two separate encodings in sequence: time restarts, and the container changes.
    let other =
        made(&HlsOptions { kind: Kind::Fmp4, seconds: 6, segment_seconds: 2, ..HlsOptions::default() });
    env.upstream.serve_hls("/a/x.hls", &PLAIN);
    env.upstream.serve_hls("/a/y.hls", &other);
    let joined =
        PLAIN.playlist().clone().with_prefix("x.hls/").concat(other.playlist().clone().with_prefix("y.hls/"));
    env.upstream.on("/a/all.m3u8", [joined.reply()]);
    env.execute("UPDATE lectures SET panopto_session_id = 'another' WHERE id = $1", id).await;
    let id = env.lecture(&env.upstream.url("/a/all.m3u8")).await;
    let announced = env.fetch_recording(id, &attempt(id)).await.expect("downloaded");
    assert!((announced - PLAIN.seconds() - other.seconds()).abs() < 0.01, "{announced}");
    let heard: Vec<u32> = env.heard(id).into_iter().flatten().collect();
    assert_eq!(heard[..12], (0..12).collect::<Vec<_>>(), "{heard:?}");
    assert!((5..=6).contains(&heard[12..].len()) && heard[12..].is_sorted(), "{heard:?}");
}

#[tokio::test]
async fn the_stream_with_the_least_besides_its_sound_is_fetched() {
    let env = UpstreamEnv::patient().await;
    for folder in ["/m/sound.hls", "/m/low.hls", "/m/high.hls"] {
        env.upstream.serve_hls(folder, &PLAIN);
    }
    let variant = |name: &str, bandwidth| {
        Variant::new(&format!("{name}.hls/index.m3u8"), bandwidth)
            .codecs("avc1.64001f,mp4a.40.2")
            .resolution(640, 360)
    };
    let variants = [variant("high", 900_000).audio_group("a"), variant("low", 300_000).audio_group("a")];
    let sound = Rendition::new("a", "English", "sound.hls/index.m3u8").as_default();
    let id = env.lecture(&env.upstream.url("/m/master.m3u8")).await;
    for (renditions, chosen, others) in
        [(vec![sound.clone()], "sound", ["low", "high"]), (vec![sound.muxed()], "low", ["sound", "high"])]
    {
        let before = |name: &str| env.upstream.requests_to(&format!("/m/{name}.hls/index.m3u8")).len();
        let counts = others.map(before);
        env.upstream.on("/m/master.m3u8", [Reply::playlist(hls::master(&variants, &renditions))]);
        env.fetch_recording(id, &attempt(id)).await.expect("downloaded");
        assert_eq!(env.heard(id), whole(12));
        assert_eq!(before(chosen), 1, "{chosen}");
        assert_eq!(others.map(before), counts, "the others are not asked for");
    }
}

#[tokio::test]
async fn segments_come_several_at_a_time_and_end_up_in_order() {
    let env = UpstreamEnv::patient().await;
    let url = env.upstream.serve_hls("/x.hls", &LONG);
    // The earlier, the later.
    for (number, (name, bytes)) in LONG.files().iter().enumerate() {
        let late = Duration::from_millis(300 - 15 * number as u64);
        let resource = Resource::new(bytes.clone()).always(Fault::Latency(late));
        env.upstream.serve(&format!("/x.hls/{name}"), resource);
    }
    let id = env.lecture(&url).await;
    let attempt = attempt(id);
    env.fetch_recording(id, &attempt).await.expect("downloaded");
    assert_eq!(env.heard(id), whole(30));
    let most = env.upstream.max_in_flight();
    assert!((4..=8).contains(&most), "{most} at once");
    assert!(env.upstream.connections() <= 10, "{} connections", env.upstream.connections());
}

/// Any fault of one segment, for any time: the attempt continues or ends, but skips nothing.
#[tokio::test]
async fn a_segment_is_retried_and_never_skipped() {
    let half = |hls: &Hls, number: usize| hls.files()[number].1.len() / 2;
    let gone = || Reply::html(404, "<html>gone");
    let cases: [(&str, Fault, Fault, (&str, &str)); 10] = [
        ("missing", gone().into(), gone().into(), ("segment-missing", "retry")),
        (
            "forbidden",
            Reply::new(403, "application/xml", "<Error>").into(),
            Reply::new(403, "application/xml", "<Error>").into(),
            ("access-denied", "fatal"),
        ),
        (
            "in trouble",
            Reply::html(500, "<html>oops").into(),
            Reply::html(500, "<html>oops").into(),
            ("upstream-error", "retry"),
        ),
        ("cut", Fault::CutAt(half(&LONG, 7)), Fault::CutAt(half(&LONG, 7)), ("truncated", "retry")),
        ("reset", Fault::ResetAt(half(&LONG, 7)), Fault::ResetAt(half(&LONG, 7)), ("truncated", "retry")),
        ("silent", Fault::StallAt(100), Fault::StallAt(100), ("stalled", "retry")),
        (
            "no media",
            Reply::media("no media at all").into(),
            Reply::media("no media at all").into(),
            ("segment-damaged", "retry"),
        ),
        ("empty", Reply::media("").into(), Reply::media("").into(), ("segment-damaged", "retry")),
        ("a login page", Reply::login_page().into(), Reply::login_page().into(), ("login-required", "fatal")),
        (
            "too often",
            Reply::too_many_requests("7").into(),
            Reply::too_many_requests("7").into(),
            ("rate-limited", "wait"),
        ),
    ];
    let passing = ["missing", "forbidden", "in trouble", "cut", "reset", "silent", "no media", "empty"];
    for (name, once, always, outcome) in cases {
        let env = match name {
            "silent" => {
                UpstreamEnv::with(|settings| settings.fetch.stall_timeout = Duration::from_secs(1)).await
            }
            _ => UpstreamEnv::patient().await,
        };
        let url = env.upstream.serve_hls("/x.hls", &LONG);
        let (file, bytes) = &LONG.files()[7];
        let path = format!("/x.hls/{file}");
        let id = env.lecture(&url).await;
        if passing.contains(&name) {
            env.upstream.serve(&path, Resource::new(bytes.clone()).first(2, once));
            env.fetch_recording(id, &attempt(id)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(env.heard(id), whole(30), "{name}");
            env.ctx.storage.delete(&keys::audio(id)).await.expect("deleted");
        }
        env.upstream.serve(&path, Resource::new(bytes.clone()).always(always));
        let error = env.fetch_recording(id, &attempt(id)).await.expect_err(name);
        assert_eq!(decision(&error), outcome, "{name}: {error}");
        env.nothing_is_stored(name).await;
    }
}

/// A server that sends no length cannot be checked against it.
#[tokio::test]
async fn a_truncated_segment_is_noticed_even_without_a_length() {
    for kind in [Kind::Ts, Kind::Fmp4] {
        let hls = made(&HlsOptions { kind, ..HlsOptions::default() });
        let env = UpstreamEnv::patient().await;
        let url = env.upstream.serve_hls("/x.hls", &hls);
        let (name, bytes) = hls.files().last().expect("files");
        let half = bytes.slice(..bytes.len() / 2 + 1);
        env.upstream.on(&format!("/x.hls/{name}"), [Reply::media(half).without_length()]);
        let id = env.lecture(&url).await;
        let error = env.fetch_recording(id, &attempt(id)).await.expect_err("a half");
        assert_eq!(decision(&error), ("segment-damaged", "retry"), "{kind:?}");
        env.nothing_is_stored("a half").await;
    }
}

#[tokio::test]
async fn what_was_fetched_survives_a_failed_attempt() {
    let env = UpstreamEnv::patient().await;
    let url = env.upstream.serve_hls("/x.hls", &LONG);
    let (last, bytes) = LONG.files().last().expect("files");
    let last = format!("/x.hls/{last}");
    env.upstream.on(&last, [Reply::html(404, "<html>gone")]);
    let id = env.lecture(&url).await;
    let error = env.fetch_recording(id, &attempt(id)).await.expect_err("the last one is missing");
    assert_eq!(decision(&error), ("segment-missing", "retry"));
    assert!(error.to_string().contains("part 15 of 15"), "{error}");
    let before = env.upstream.requests().len();

    env.upstream.serve(&last, Resource::new(bytes.clone()));
    env.fetch_recording(id, &attempt(id)).await.expect("the rest");
    let asked: Vec<_> =
        env.upstream.requests()[before..].iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(asked, ["/x.hls/index.m3u8".to_owned(), last], "the playlist and what was missing");
    assert_eq!(env.heard(id), whole(30));
}

/// Same URL, another recording: segments of the first are not parts of it.
#[tokio::test]
async fn segments_of_another_recording_are_not_kept() {
    let env = UpstreamEnv::patient().await;
    let url = env.upstream.serve_hls("/x.hls", &LONG);
    let last = LONG.files().last().expect("files");
    env.upstream.on(&format!("/x.hls/{}", last.0), [Reply::html(404, "<html>gone")]);
    let id = env.lecture(&url).await;
    env.fetch_recording(id, &attempt(id)).await.expect_err("the last one is missing");
    env.upstream.serve_hls("/x.hls", &PLAIN);
    env.fetch_recording(id, &attempt(id)).await.expect("the other one");
    assert_eq!(env.heard(id), whole(12));
}

/// They would be heard in the wrong place, or twice.
#[tokio::test]
async fn bytes_of_another_range_are_no_segment() {
    let hls = made(&HlsOptions { kind: Kind::ByteRanges, ..HlsOptions::default() });
    let env = UpstreamEnv::new().await;
    let id = env.lecture(&env.upstream.serve_hls("/r.hls", &hls)).await;
    let (name, bytes) = hls.files().first().expect("the file of all ranges");
    for fault in [Fault::IgnoreRange, Fault::RangeFrom(0), Fault::ContentRange("bytes 1-2/3".to_owned())] {
        let resource = Resource::new(bytes.clone()).always(fault.clone());
        env.upstream.serve(&format!("/r.hls/{name}"), resource);
        let error = env.fetch_recording(id, &attempt(id)).await.expect_err("other bytes");
        assert_eq!(decision(&error), ("upstream-refused", "fatal"), "{fault:?}: {error}");
        env.nothing_is_stored("other bytes").await;
    }
}

#[tokio::test]
async fn all_segments_together_have_a_largest_size() {
    let all: u64 = PLAIN.files().iter().map(|(_, bytes)| bytes.len() as u64).sum();
    for (limit, refused) in [(all, false), (all - 1, true)] {
        let env = UpstreamEnv::with(|settings| settings.fetch.max_bytes = limit).await;
        let id = env.lecture(&env.upstream.serve_hls("/x.hls", &PLAIN)).await;
        let outcome = env.fetch_recording(id, &attempt(id)).await;
        let decided = outcome.as_ref().err().map(decision);
        assert_eq!(decided, refused.then_some(("too-large", "fatal")), "{limit}: {outcome:?}");
    }
}

/// Signatures expire in the middle: the user submits a new one, and only the rest is fetched.
#[tokio::test]
async fn an_expired_signature_keeps_fetched_segments() {
    let env = UpstreamEnv::patient().await;
    env.upstream.serve_hls("/x.hls", &LONG);
    for (name, bytes) in &LONG.files()[7..] {
        let resource = Resource::new(bytes.clone()).always(Reply::new(403, "application/xml", "<Error>"));
        env.upstream.serve(&format!("/x.hls/{name}"), resource);
    }
    let id = env.lecture(&env.upstream.url("/x.hls/index.m3u8?Signature=old")).await;
    let error = env.fetch_recording(id, &attempt(id)).await.expect_err("expired");
    assert_eq!(decision(&error), ("access-denied", "fatal"));
    assert!(error.to_string().contains("send it again"), "{error}");
    for (name, bytes) in &LONG.files()[7..] {
        env.upstream.serve(&format!("/x.hls/{name}"), Resource::new(bytes.clone()));
    }
    let first = format!("/x.hls/{}", LONG.files()[0].0);
    env.execute("UPDATE lectures SET stream_url = replace(stream_url, 'old', 'new') WHERE id = $1", id).await;
    env.fetch_recording(id, &attempt(id)).await.expect("a fresh address");
    assert_eq!(env.upstream.requests_to(&first).len(), 1, "what was there is not fetched again");
    assert_eq!(env.heard(id), whole(30));
}

#[tokio::test]
async fn a_live_recording_is_waited_for() {
    let env = UpstreamEnv::patient().await;
    env.upstream.serve_hls("/x.hls", &LONG);
    env.upstream.on("/x.hls/index.m3u8", LONG.playlist().live_replies(3));
    let id = env.lecture(&env.upstream.url("/x.hls/index.m3u8")).await;
    for _ in 0..2 {
        let error = env.fetch_recording(id, &attempt(id)).await.expect_err("the recording is live");
        assert_eq!(decision(&error), ("live", "wait"));
    }
    env.fetch_recording(id, &attempt(id)).await.expect("it has ended");
    assert_eq!(env.heard(id), whole(30));
}

/// The upstream at 127.0.0.1, and a forbidden host at the same port.
async fn watched() -> (UpstreamEnv, Canary) {
    let (upstream, canary) = Upstream::start_with_canary().await;
    (UpstreamEnv::at(upstream, |settings| settings.fetch.stall_timeout = PATIENCE).await, canary)
}

#[tokio::test]
async fn no_uri_of_a_playlist_reaches_a_forbidden_host() {
    let (env, canary) = watched().await;
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret.ts");
    std::fs::write(&secret, &PLAIN.files()[0].1).expect("written");
    env.upstream.serve_hls("/x.hls", &PLAIN);
    let id = env.lecture(&env.upstream.url("/x.hls/index.m3u8")).await;
    let playlist = || PLAIN.playlist().clone();
    for (what, uri) in hls::hostile::uris(env.upstream.port(), &secret) {
        let master = Reply::playlist(hls::master(&[Variant::new(&uri, 1)], &[]));
        let rendition = Rendition::new("a", "English", &uri).as_default();
        let variant = Variant::new("index.m3u8", 1).audio_group("a");
        for (place, reply) in [
            ("a segment", playlist().with_uri(1, &uri).reply()),
            ("a map", playlist().with_map(&uri).reply()),
            ("a key", playlist().with_key(&uri).reply()),
            ("a variant", master),
            ("a rendition", Reply::playlist(hls::master(&[variant], &[rendition]))),
        ] {
            let asked = env.upstream.requests().len();
            let text = format!("{what} as {place}: {uri}");
            env.upstream.on("/x.hls/index.m3u8", [reply]);
            let error = env.fetch_recording(id, &attempt(id)).await.expect_err(&text);
            let base = Url::parse(&env.upstream.url("/x.hls/index.m3u8")).expect("a URL");
            let leads_away = base.join(&uri).map_or(true, |url| url.origin() != base.origin());
            if leads_away {
                assert!(error.is_fatal(), "{text}: {error}");
                assert_eq!(
                    env.upstream.requests().len(),
                    asked + 1,
                    "{text}: only the playlist was asked for"
                );
            } else {
                // Not a URL but a name in the playlist's folder, which its server does not have.
                assert!(env.upstream.requests().len() > asked + 1, "{text}: {error}");
            }
            assert!(!error.to_string().contains("secret.ts"), "{text}: {error}");
            env.nothing_is_stored(&text).await;
        }
    }
    assert_eq!(canary.contacts().await, 0);
}

#[tokio::test]
async fn playlists_that_ask_for_too_much_are_refused() {
    let env = UpstreamEnv::patient().await;
    env.upstream.serve_hls("/x.hls", &PLAIN);
    let id = env.lecture(&env.upstream.url("/x.hls/index.m3u8")).await;
    let itself = hls::master(&[Variant::new("inner.m3u8", 1)], &[]);
    env.upstream.on("/x.hls/inner.m3u8", [Reply::playlist(itself.clone())]);
    let huge = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{}", "#\n".repeat(5 << 20));
    let table = [
        (PLAIN.playlist().clone().repeat_segments(100_000).reply(), ("playlist-refused", "fatal")),
        (PLAIN.playlist().clone().with_gap(1).reply(), ("incomplete", "fatal")),
        (Reply::playlist(itself), ("playlist-refused", "fatal")),
        (Reply::playlist(huge), ("too-large", "fatal")),
        (
            Reply::playlist("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-ENDLIST\n"),
            ("playlist-refused", "fatal"),
        ),
    ];
    for (number, (reply, outcome)) in table.into_iter().enumerate() {
        env.upstream.on("/x.hls/index.m3u8", [reply]);
        let error = env.fetch_recording(id, &attempt(id)).await.expect_err("refused");
        assert_eq!(decision(&error), outcome, "{number}: {error}");
    }
    let segments: usize =
        PLAIN.segments().iter().map(|name| env.upstream.requests_to(&format!("/x.hls/{name}")).len()).sum();
    assert_eq!(segments, 0, "not one segment was asked for");
}

#[tokio::test]
async fn a_key_has_sixteen_bytes_and_comes_from_a_known_host() {
    let key = *b"sixteen bytes ok";
    let hls =
        made(&HlsOptions { encryption: Encryption::Aes128 { key, rotate: false }, ..HlsOptions::default() });
    let env = UpstreamEnv::patient().await;
    let url = env.upstream.serve_hls("/x.hls", &hls);
    let id = env.lecture(&url).await;
    let file =
        hls.files().iter().find(|(_, bytes)| bytes.as_ref() == key).map(|(name, _)| format!("/x.hls/{name}"));
    let file = file.expect("the key's file");
    for (reply, outcome) in [
        (Reply::media("short"), ("key", "retry")),
        (Reply::login_page(), ("login-required", "fatal")),
        (Reply::new(403, "application/xml", "<Error>"), ("access-denied", "fatal")),
        (Reply::media("another key 16 b"), ("segment-damaged", "retry")),
    ] {
        env.upstream.on(&file, [reply]);
        let error = env.fetch_recording(id, &attempt(id)).await.expect_err("no key");
        assert_eq!(decision(&error), outcome, "{error}");
        assert!(!format!("{error:?}").contains("sixteen"), "{error:?}");
    }
    let mut left = Vec::new();
    files(&env.ctx.downloads, &mut left);
    assert!(left.iter().all(|file| std::fs::read(file).expect("read") != key), "the key is on no disk");
}

fn files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().is_dir() { files(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

/// The checkpoint says which segments are there; people read its fields in this order in a job's history.
#[test]
fn a_checkpoint_can_be_read_back() {
    let checkpoint = Checkpoint::Segments { finished: "0-6,9".to_owned(), of: 15 };
    let value = serde_json::to_value(&checkpoint).expect("JSON");
    assert_eq!(value, serde_json::json!({ "source": "segments", "finished": "0-6,9", "of": 15 }));
    assert_eq!(serde_json::from_value::<Checkpoint>(value).expect("read"), checkpoint);
}
