//! Second N of the stored audio is second N of the session, whatever the time stamps of its source say. Each second of the
//! sources has its own tone, and it is looked for in what the engine would hear.

use bedel_jobs::download::Download;
use bedel_jobs::probe::{Probe, ProbeError, measure};
use bedel_jobs::submit::Submit;
use bedel_queue::{Attempt, Job, JobError};
use bedel_storage::keys;
use bedel_upstream::hls::{Hls, HlsOptions, Kind};
use bedel_upstream::media::{identify_seconds, recording};
use bedel_upstream::{Reply, delivery_info};
use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::download::attempt;
use crate::environment::{UpstreamEnv, decision};
use crate::recordings::ffmpeg;

/// A tone for each second, as ffmpeg's source.
const TONES: &str = "aevalsrc='0.4*sin(2*PI*(300+20*floor(t))*t)':s=48000";

/// Samples per second of the generated segments.
const RATE: u64 = 48_000;

impl UpstreamEnv {
    /// Runs `download` and `probe`. Returns the seconds that an engine would hear.
    async fn stored(&self, id: Uuid, announced_seconds: Option<f64>) -> Result<Vec<Option<u32>>, JobError> {
        let audio = Download { lecture_id: id, announced_seconds }.run(&self.ctx, &attempt(id)).await?;
        let announced_seconds = audio.expect("the lecture exists").announced_seconds;
        Probe { lecture_id: id, announced_seconds }.run(&self.ctx, &attempt(id)).await?;
        Ok(self.engine_hears(id).await)
    }

    async fn engine_hears(&self, id: Uuid) -> Vec<Option<u32>> {
        let directory = tempfile::tempdir().expect("a directory");
        let (pcm, wave) = (directory.path().join("pcm"), directory.path().join("sound.wav"));
        let audio = self.ctx.storage.local_path(&keys::audio(id)).expect("local storage");
        self.ctx.media.decode_pcm(&audio, &pcm).await.expect("decoded");
        ffmpeg(&["-f", "f32le", "-ar", "16000", "-ac", "1", "-i", pcm.to_str().unwrap()], &wave);
        identify_seconds(&wave)
    }

    /// Runs `submit` on an answer with these plain streams, then [`UpstreamEnv::stored`] with the session's length.
    async fn session(&self, seconds: f64, streams: Value) -> Result<Vec<Option<u32>>, JobError> {
        let id = self.lecture("").await;
        let answer = json!({ "Delivery": { "SessionName": "S", "Duration": seconds, "PodcastStreams": [],
            "Streams": streams, "IsViewerEncodeComplete": true } });
        self.upstream.on(delivery_info::PATH, [Reply::json(&answer.to_string())]);
        let (submit, attempt) = (Submit { lecture_id: id }, Attempt::detached(Some(id)));
        let resolved = submit.run(&self.ctx, &attempt).await?;
        let mut tx = self.ctx.pool.begin().await?;
        submit.commit(&self.ctx, &attempt, &resolved, &mut tx).await?;
        tx.commit().await?;
        self.stored(id, Some(seconds)).await
    }

    /// Serves a recording of `seconds`, and returns its path.
    fn serve_tones(&self, path: &'static str, seconds: u32) -> &'static str {
        let directory = tempfile::tempdir().expect("a directory");
        self.upstream.on(path, [Reply::media(recording(directory.path(), seconds, true))]);
        path
    }

    /// Serves a picture of `seconds` with this sound.
    fn serve_picture(&self, path: &'static str, seconds: u32, sound: &[&str]) -> &'static str {
        let directory = tempfile::tempdir().expect("a directory");
        let picture = format!("color=size=64x64:rate=5:duration={seconds}");
        let args =
            [sound, &["-f", "lavfi", "-i", &picture, "-c:v", "mpeg4", "-c:a", "aac", "-shortest"]].concat();
        self.upstream
            .on(path, [Reply::media(std::fs::read(ffmpeg(&args, &directory.path().join("p.mp4"))).unwrap())]);
        path
    }
}

fn seconds(range: std::ops::Range<u32>) -> Vec<Option<u32>> {
    range.map(Some).collect()
}

fn quiet(seconds: usize) -> Vec<Option<u32>> {
    vec![None; seconds]
}

/// Twenty-four seconds in six fragments.
fn fragments() -> Hls {
    let options = HlsOptions { kind: Kind::Fmp4, seconds: 24, ..HlsOptions::default() };
    Hls::make(tempfile::tempdir().expect("a directory").path(), &options)
}

/// The files of a stream whose fragments begin at these seconds instead of 0, 4, 8, …
fn with_clock(hls: &Hls, clock: impl Fn(u64) -> u64) -> Vec<(String, Bytes)> {
    let files = hls.files().iter().map(|(name, bytes)| {
        let mut bytes = bytes.to_vec();
        if let Some(at) = bytes.windows(4).position(|kind| kind == b"tfdt") {
            // Version 1: the time has 64 bits, behind version and flags.
            assert_eq!(bytes[at + 4], 1, "the version of tfdt");
            let time = u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap());
            let number = (time + RATE / 2) / (4 * RATE);
            let moved = clock(number) * RATE + (time - (number * 4 * RATE).min(time));
            bytes[at + 8..at + 16].copy_from_slice(&moved.to_be_bytes());
        }
        (name.clone(), Bytes::from(bytes))
    });
    files.collect()
}

/// One file of the fragments with these numbers.
fn joined(files: &[(String, Bytes)], left_out: Option<usize>) -> Vec<u8> {
    let (maps, fragments): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| name == "init.mp4");
    let kept = fragments.into_iter().enumerate().filter(|(number, _)| Some(*number) != left_out);
    maps.into_iter().chain(kept.map(|(_, file)| file)).flat_map(|(_, bytes)| bytes.to_vec()).collect()
}

type Clock = fn(u64) -> u64;

/// No `EXT-X-DISCONTINUITY` marks any of these.
const WRONG_CLOCKS: [(&str, Clock); 4] = [
    ("restarts", |_| 0),
    ("goes back by three seconds", |number| if number < 3 { number * 4 } else { number * 4 - 3 }),
    ("overlaps", |number| number * 3),
    ("jumps by forty seconds", |number| if number < 3 { number * 4 } else { number * 4 + 40 }),
];

#[tokio::test]
async fn fragments_with_a_wrong_clock_are_heard_whole_and_in_order() {
    let (env, hls) = (UpstreamEnv::patient().await, fragments());
    for (number, (name, clock)) in WRONG_CLOCKS.into_iter().enumerate() {
        let prefix = format!("/{number}.hls");
        let url = env.upstream.serve_hls(&prefix, &hls);
        for (file, bytes) in with_clock(&hls, clock) {
            env.upstream.on(&format!("{prefix}/{file}"), [Reply::media(bytes)]);
        }
        let id = env.lecture(&url).await;
        let heard = env.stored(id, None).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(heard, seconds(0..24), "{name}");
    }
}

/// A file whose samples run on and whose clock restarts or jumps. Nothing announces its length.
#[tokio::test]
async fn a_file_with_a_wrong_clock_is_heard_whole_and_in_order() {
    let (env, hls) = (UpstreamEnv::patient().await, fragments());
    let id = env.lecture(&env.upstream.url("/file.mp4")).await;
    for (name, clock) in WRONG_CLOCKS {
        env.upstream.on("/file.mp4", [Reply::media(joined(&with_clock(&hls, clock), None))]);
        let heard = env.stored(id, None).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(heard, seconds(0..24), "{name}");
    }
}

#[tokio::test]
async fn a_hole_is_an_error_that_names_both_lengths() {
    let (env, hls) = (UpstreamEnv::patient().await, fragments());
    let id = env.lecture(&env.upstream.url("/file.mp4")).await;
    // Panopto announces what the clock says.
    env.upstream.on("/file.mp4", [Reply::media(joined(hls.files(), Some(2)))]);
    let error = env.stored(id, Some(24.0)).await.expect_err("a hole");
    assert_eq!(decision(&error), ("incomplete", "fatal"));
    assert!(error.to_string().contains("24 seconds") && error.to_string().contains("20 seconds"), "{error}");

    // Nothing is announced, but the picture continues.
    let directory = tempfile::tempdir().expect("a directory");
    let file = ffmpeg(
        &[
            "-f",
            "lavfi",
            "-i",
            TONES,
            "-f",
            "lavfi",
            "-i",
            "color=size=64x64:rate=5",
            "-af",
            "aselect='not(between(t\\,10\\,20))'",
            "-c:v",
            "mpeg4",
            "-c:a",
            "aac",
            "-t",
            "30",
        ],
        &directory.path().join("hole.mp4"),
    );
    env.upstream.on("/file.mp4", [Reply::media(std::fs::read(file).unwrap())]);
    let error = env.stored(id, None).await.expect_err("a hole");
    assert_eq!(decision(&error), ("incomplete", "fatal"));
    assert!(error.to_string().contains("30 seconds") && error.to_string().contains("20 seconds"), "{error}");
}

/// What an earlier version stored: all samples, on a clock of their first quarter.
#[tokio::test]
async fn stored_audio_whose_clock_disagrees_with_its_samples_is_refused() {
    let (env, hls) = (UpstreamEnv::patient().await, fragments());
    let directory = tempfile::tempdir().expect("a directory");
    let (source, audio) = (directory.path().join("source.mp4"), directory.path().join("audio.m4a"));
    std::fs::write(&source, joined(&with_clock(&hls, |_| 0), None)).unwrap();
    ffmpeg(&["-i", source.to_str().unwrap(), "-c:a", "copy", "-f", "ipod"], &audio);
    let error = measure(&env.ctx.media, &audio, Some(24.0)).await.expect_err("a refusal");
    let ProbeError::Clock { decoded, clock } = error else { panic!("{error}") };
    assert!((decoded - 24.0).abs() < 0.2 && clock < 6.0, "{decoded} {clock}");
    let error = JobError::from(ProbeError::Clock { decoded, clock });
    assert_eq!(decision(&error), ("incomplete", "fatal"));
}

#[tokio::test]
async fn a_late_sound_is_heard_when_a_viewer_hears_it() {
    let env = UpstreamEnv::patient().await;
    let directory = tempfile::tempdir().expect("a directory");
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"];
    let late = ["-itsoffset", "20", "-f", "lavfi", "-i", TONES];
    // More than 5 MB before the sound: where ffmpeg stops looking by default.
    let rate = ["-b:v", "2200k", "-minrate", "2200k", "-maxrate", "2200k", "-bufsize", "500k"];
    let encode =
        ["-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-t", "26"];
    let encode = [&encode[..], &rate].concat();
    let with_picture = [&picture[..], &late, &encode].concat();
    let alone = [&late[..], &["-c:a", "aac", "-t", "26"]].concat();
    let playlist_args =
        [&with_picture[..], &["-f", "hls", "-hls_playlist_type", "vod", "-hls_time", "4"]].concat();
    let expected = [quiet(20), seconds(0..6)].concat();

    for (name, args) in [("late.mp4", &with_picture), ("late.m4a", &alone), ("late.ts", &with_picture)] {
        let file = ffmpeg(args, &directory.path().join(name));
        let report = env.ctx.media.probe(&file).await.expect("a report");
        assert_eq!(report.audio[0].sample_rate, 48_000, "{name}: the sound is found");
        env.upstream.on("/file", [Reply::media(std::fs::read(file).unwrap())]);
        let id = env.lecture(&env.upstream.url("/file")).await;
        let heard = env.stored(id, None).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(heard, expected, "{name}");
    }

    let playlist = ffmpeg(&playlist_args, &directory.path().join("late.m3u8"));
    env.upstream.on("/l/late.m3u8", [Reply::playlist(std::fs::read_to_string(playlist).unwrap())]);
    for entry in std::fs::read_dir(directory.path()).unwrap().flatten() {
        let path = format!("/l/{}", entry.file_name().to_str().unwrap());
        if path.ends_with(".ts") {
            env.upstream.on(&path, [Reply::media(std::fs::read(entry.path()).unwrap())]);
        }
    }
    let id = env.lecture(&env.upstream.url("/l/late.m3u8")).await;
    assert_eq!(env.stored(id, None).await.expect("stored"), expected);
}

#[tokio::test]
async fn a_stream_that_starts_late_in_the_session_is_heard_there() {
    let env = UpstreamEnv::patient().await;
    let slides = env.serve_picture("/slides.mp4", 20, &[]);
    let camera = env.serve_tones("/camera.mp4", 6);
    let heard = env
        .session(
            20.0,
            json!([
                { "StreamUrl": slides, "Tag": "OBJECT", "RelativeStart": 0.0, "RelativeEnd": 20.0 },
                { "StreamUrl": camera, "Tag": "DV", "RelativeStart": 10.0, "RelativeEnd": 16.0 },
            ]),
        )
        .await;
    assert_eq!(heard.expect("stored"), [quiet(10), seconds(0..6)].concat());
}

#[tokio::test]
async fn what_the_owner_cut_out_is_heard_nowhere() {
    let env = UpstreamEnv::patient().await;
    let camera = env.serve_tones("/camera.mp4", 14);
    let segments = json!([
        { "RelativeStart": 0.0, "Start": 1, "End": 5 },
        { "RelativeStart": 4.0, "Start": 9, "End": 13.0 },
    ]);
    let streams =
        json!([{ "StreamUrl": camera, "Tag": "DV", "RelativeStart": 0, "RelativeSegments": segments }]);
    let heard = env.session(8.0, streams).await.expect("stored");
    assert_eq!(heard, [seconds(1..5), seconds(9..13)].concat());
}

#[tokio::test]
async fn a_session_of_several_streams_is_heard_whole() {
    let env = UpstreamEnv::patient().await;
    let (first, second) = (env.serve_tones("/a.mp4", 6), env.serve_tones("/b.mp4", 8));
    let streams = json!([
        { "StreamUrl": first, "Tag": "DV", "RelativeStart": 0, "RelativeEnd": 6 },
        { "StreamUrl": second, "Tag": "DV", "RelativeStart": 11, "RelativeEnd": 19 },
    ]);
    let heard = env.session(19.0, streams).await.expect("stored");
    assert_eq!(heard, [seconds(0..6), quiet(5), seconds(0..8)].concat());

    // The second stream is announced longer than it is.
    let streams = json!([
        { "StreamUrl": first, "Tag": "DV", "RelativeStart": 0, "RelativeEnd": 6 },
        { "StreamUrl": second, "Tag": "DV", "RelativeStart": 11, "RelativeEnd": 29 },
    ]);
    let error = env.session(29.0, streams).await.expect_err("too short");
    assert_eq!(decision(&error), ("incomplete", "fatal"));
}

#[tokio::test]
async fn a_stream_without_sound_gives_way_to_the_next() {
    let env = UpstreamEnv::patient().await;
    let silence = ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono"];
    let silent = env.serve_picture("/silent.mp4", 9, &silence);
    let slides = env.serve_picture("/slides.mp4", 9, &[]);
    let speech = env.serve_tones("/speech.mp4", 8);
    let stream =
        |url: &str, tag: &str| json!({ "StreamUrl": url, "Tag": tag, "RelativeStart": 0, "RelativeEnd": 9 });
    let spoken = json!({ "StreamUrl": speech, "Tag": "SCREEN", "RelativeStart": 0, "RelativeEnd": 8 });
    let table = [
        (json!([stream(slides, "DV"), stream(silent, "DV"), spoken]), Ok(seconds(0..8))),
        (json!([stream(slides, "DV"), stream(silent, "DV")]), Err("silent")),
        (json!([stream(slides, "DV"), stream(slides, "SCREEN")]), Err("no-audio")),
    ];
    for (streams, expected) in table {
        let heard = env.session(9.0, streams.clone()).await;
        assert_eq!(
            heard.as_ref().map_err(JobError::class),
            expected.as_ref().map_err(|class| *class),
            "{streams}"
        );
    }
}

/// A stream that a client sent is on its own clock, even if Panopto named others before.
#[tokio::test]
async fn the_stream_of_a_client_has_its_own_clock() {
    let env = UpstreamEnv::patient().await;
    let camera = env.serve_tones("/camera.mp4", 6);
    let streams = json!([{ "StreamUrl": camera, "Tag": "DV", "RelativeStart": 3, "RelativeEnd": 9 }]);
    assert_eq!(env.session(9.0, streams).await.expect("stored"), [quiet(3), seconds(0..6)].concat());
    let id: Uuid = sqlx::query_scalar("SELECT id FROM lectures").fetch_one(&env.ctx.pool).await.unwrap();
    sqlx::query("UPDATE lectures SET stream_url = $2 WHERE id = $1")
        .bind(id)
        .bind(env.upstream.url("/camera.mp4?mine"))
        .execute(&env.ctx.pool)
        .await
        .unwrap();
    assert_eq!(env.stored(id, None).await.expect("stored"), seconds(0..6));

    // A row that no version of this program wrote.
    let stored_url = env.upstream.url("/camera.mp4");
    sqlx::query("UPDATE lectures SET stream_url = $2 WHERE id = $1")
        .bind(id)
        .bind(stored_url)
        .execute(&env.ctx.pool)
        .await
        .unwrap();
    env.execute("UPDATE lecture_streams SET spans = '[{\"at\": -1}]' WHERE lecture_id = $1", id).await;
    let error = env.stored(id, None).await.expect_err("unreadable");
    assert_eq!(decision(&error), ("no-stream", "fatal"));
}
