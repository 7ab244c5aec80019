//! Playlists and segments as servers write them.

use bedel_upstream::hls::{self, HlsOptions, Kind, Rendition, Variant};
use bedel_upstream::{Reply, Resource};

use super::{PLAIN, made, whole};
use crate::download::attempt;
use crate::environment::{UpstreamEnv, decision};
use crate::recordings::ffmpeg;

/// `CODECS` may omit the sound. Whether there is none shows in the segments.
#[tokio::test]
async fn a_stream_is_not_refused_because_of_its_codecs() {
    let env = UpstreamEnv::patient().await;
    env.upstream.serve_hls("/m/low.hls", &made(&HlsOptions { video: true, ..HlsOptions::default() }));
    let variant = Variant::new("low.hls/index.m3u8", 1).codecs("avc1.64001f").resolution(160, 90);
    let id = env.lecture(&env.upstream.url("/m/master.m3u8")).await;
    for (variants, renditions) in [
        (vec![variant.clone()], vec![]),
        (vec![variant.clone().audio_group("a")], vec![Rendition::new("a", "English", "").muxed()]),
    ] {
        env.upstream.on("/m/master.m3u8", [Reply::playlist(hls::master(&variants, &renditions))]);
        env.fetch_recording(id, &attempt(id)).await.expect("downloaded");
        assert_eq!(env.heard(id), whole(12));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let args =
        ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=4", "-c:v", "mpeg2video", "-f", "mpegts"];
    let slides = std::fs::read(ffmpeg(&args, &directory.path().join("0.ts"))).expect("read");
    env.upstream.serve("/m/slides.hls/0.ts", Resource::new(slides));
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXT-X-ENDLIST\n";
    env.upstream.on("/m/slides.hls/index.m3u8", [Reply::playlist(text)]);
    let slides = Variant::new("slides.hls/index.m3u8", 1).codecs("avc1.64001f");
    env.upstream.on("/m/master.m3u8", [Reply::playlist(hls::master(&[slides], &[]))]);
    let error = env.fetch_recording(id, &attempt(id)).await.expect_err("slides");
    assert_eq!(decision(&error), ("no-audio", "fatal"));
}

/// Playlists as servers write them. Nothing but their segments is asked for.
#[tokio::test]
async fn odd_playlists_become_the_same_sound() {
    let text = PLAIN.playlist().text();
    let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect()
    };
    let forms: [(&str, Vec<u8>); 10] = [
        ("a decimal target", text.replace("DURATION:5", "DURATION:5.037").into()),
        ("titles", text.replace(",\n", ",Part 1, \"rivers\", x=y.ts\n").into()),
        ("no commas", text.replace(",\n", "\n").into()),
        ("CRLF and blanks", text.replace('\n', " \t\r\n\r\n").into()),
        ("CR", text.replace('\n', "\r").into()),
        ("UTF-16", utf16(u16::to_le_bytes)),
        ("UTF-16, big end first", utf16(u16::to_be_bytes)),
        ("Latin-1", text.replace(",\n", ",caf\u{e9}\n").chars().map(|c| c as u8).collect()),
        (
            "unknown tags",
            text.replace("#EXTINF", "#EXT-X-CUE-OUT:30,URI=\"x.ts\"\n#EXT-Y y.ts\n#EXTINF").into(),
        ),
        ("no end", text.replace("#EXT-X-ENDLIST\n", "").into()),
    ];
    let env = UpstreamEnv::patient().await;
    env.upstream.serve_hls("/x.hls", &PLAIN);
    let id = env.lecture(&env.upstream.url("/x.hls/index.m3u8")).await;
    for (name, bytes) in forms {
        let before = env.upstream.requests().len();
        env.upstream.on("/x.hls/index.m3u8", [Reply::new(200, "application/vnd.apple.mpegurl", bytes)]);
        let announced =
            env.fetch_recording(id, &attempt(id)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((announced - PLAIN.seconds()).abs() < 0.01, "{name}: {announced}");
        assert_eq!(env.heard(id), whole(12), "{name}");
        assert_eq!(env.upstream.requests().len(), before + 1 + PLAIN.segments().len(), "{name}");
    }
}

/// Each segment is a file with its own map, and its times continue.
#[tokio::test]
async fn segments_with_their_own_maps_are_joined() {
    let hls = made(&HlsOptions { kind: Kind::Fmp4, ..HlsOptions::default() });
    let env = UpstreamEnv::patient().await;
    env.upstream.serve_hls("/x.hls", &hls);
    let (_, map) = hls.files().iter().find(|(name, _)| name == "init.mp4").expect("a map");
    let event = [&40_u32.to_be_bytes()[..], b"emsg", &[0; 32]].concat();
    for (name, bytes) in hls.files().iter().filter(|(name, _)| name != "init.mp4") {
        env.upstream.serve(&format!("/x.hls/{name}"), Resource::new([&event, &map[..], bytes].concat()));
    }
    let text = hls.playlist().text();
    let lines = text.lines().filter(|line| !line.starts_with("#EXT-X-MAP")).map(|line| format!("{line}\n"));
    env.upstream.on("/x.hls/index.m3u8", [Reply::playlist(lines.collect::<String>())]);
    let id = env.lecture(&env.upstream.url("/x.hls/index.m3u8")).await;
    env.fetch_recording(id, &attempt(id)).await.expect("downloaded");
    assert_eq!(env.heard(id), whole(12));
}

#[tokio::test]
async fn subtitles_are_no_recording() {
    let env = UpstreamEnv::patient().await;
    env.upstream
        .on("/x.hls/0.vtt", [Reply::new(200, "text/vtt", "WEBVTT\n\n00:00.000 --> 00:04.000\nHello\n")]);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.vtt\n#EXT-X-ENDLIST\n";
    env.upstream.on("/x.hls/index.m3u8", [Reply::playlist(text)]);
    let id = env.lecture(&env.upstream.url("/x.hls/index.m3u8")).await;
    let error = env.fetch_recording(id, &attempt(id)).await.expect_err("subtitles");
    assert_eq!(decision(&error), ("no-audio", "fatal"));
}

/// A server announces less than a segment has, and a client reads no further.
#[tokio::test]
async fn a_segment_with_too_small_a_length_is_damaged() {
    for kind in [Kind::Ts, Kind::Fmp4] {
        let hls = made(&HlsOptions { kind, ..HlsOptions::default() });
        let env = UpstreamEnv::patient().await;
        let url = env.upstream.serve_hls("/x.hls", &hls);
        let (name, bytes) = hls.files().last().expect("files");
        let reply = Reply::media(bytes.clone()).announce_length(bytes.len() / 2 + 1);
        env.upstream.on(&format!("/x.hls/{name}"), [reply]);
        let id = env.lecture(&url).await;
        let error = env.fetch_recording(id, &attempt(id)).await.expect_err("a half");
        assert_eq!(decision(&error), ("segment-damaged", "retry"), "{kind:?}");
        env.nothing_is_stored("a half").await;
    }
}
