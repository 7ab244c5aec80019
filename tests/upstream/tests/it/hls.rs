//! The real ffmpeg plays every kind of stream over HTTP, from the first second to the last.

use std::path::Path;
use std::process::{Command, Output};

use bedel_upstream::hls::{Encryption, Hls, HlsOptions, Kind, Rendition, Variant, master};
use bedel_upstream::media::{identify_seconds, recording};
use bedel_upstream::{Reply, Resource, Upstream};

const KEY: [u8; 16] = *b"sixteen letters!";

async fn run(program: &'static str, args: &[&str]) -> Output {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    tokio::task::spawn_blocking(move || Command::new(program).args(args).output().unwrap()).await.unwrap()
}

/// The duration by ffprobe, in seconds.
async fn duration(url: &str) -> f64 {
    let args = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", url];
    let output = run("ffprobe", &args).await;
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Decodes a stream with ffmpeg and identifies its seconds.
async fn decoded_seconds(directory: &Path, url: &str) -> Vec<Option<u32>> {
    let file = directory.join("played.wav");
    let output = run("ffmpeg", &["-v", "error", "-y", "-i", url, "-vn", file.to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    identify_seconds(&file)
}

fn all(seconds: std::ops::Range<u32>) -> Vec<Option<u32>> {
    seconds.map(Some).collect()
}

/// Serves each byte range of a stream as a file. ffmpeg requests keys with the range of their segment, so
/// with ranges it would find only the first.
fn serve_ranges_as_files(upstream: &Upstream, prefix: &str, hls: &Hls) -> String {
    let all = &hls.files().iter().find(|(name, _)| name == "all.ts").unwrap().1;
    let mut text = String::new();
    let mut file = None;
    for line in hls.playlist().text().lines() {
        let range = line.strip_prefix("#EXT-X-BYTERANGE:").and_then(|range| range.split_once('@'));
        if let Some((length, first)) = range {
            let first: usize = first.parse().unwrap();
            let path = format!("{prefix}/{first}.ts");
            upstream.serve(&path, Resource::new(all.slice(first..first + length.parse::<usize>().unwrap())));
            file = Some(path);
        } else {
            text += if line == "all.ts" { file.as_deref().unwrap() } else { line };
            text.push('\n');
        }
    }
    let playlist = format!("{prefix}/cut.m3u8");
    upstream.on(&playlist, [Reply::playlist(text)]);
    upstream.url(&playlist)
}

/// Generates a stream, plays it, and checks its segments, duration and seconds.
async fn play(options: HlsOptions) -> Hls {
    let directory = tempfile::tempdir().unwrap();
    let hls = Hls::make(directory.path(), &options);
    let upstream = Upstream::start().await;
    let mut url = upstream.serve_hls("/lecture.hls", &hls);
    if options.kind == Kind::ByteRanges && options.encryption != Encryption::None {
        url = serve_ranges_as_files(&upstream, "/lecture.hls", &hls);
    }
    assert_eq!(hls.segments().len(), 3, "{:?}", hls.segments());
    assert!((hls.seconds() - 9.0).abs() < 0.15, "{} s", hls.seconds());
    let probed = duration(&url).await;
    assert!((probed - hls.seconds()).abs() < 0.15, "{probed} s instead of {} s", hls.seconds());
    assert_eq!(decoded_seconds(directory.path(), &url).await, all(0..9), "{options:?}");
    hls
}

fn options(kind: Kind) -> HlsOptions {
    HlsOptions { seconds: 9, segment_seconds: 3, kind, ..HlsOptions::default() }
}

#[tokio::test]
async fn transport_streams_are_played() {
    let hls = play(options(Kind::Ts)).await;
    assert_eq!(hls.segments(), ["00000.ts", "00001.ts", "00002.ts"]);
    play(HlsOptions { video: true, ..options(Kind::Ts) }).await;
}

#[tokio::test]
async fn fragmented_files_are_played() {
    let hls = play(options(Kind::Fmp4)).await;
    assert!(hls.playlist().text().contains("#EXT-X-MAP:URI=\"init.mp4\"\n"));
    play(HlsOptions { video: true, ..options(Kind::Fmp4) }).await;
}

#[tokio::test]
async fn byte_ranges_of_one_file_are_played() {
    let hls = play(options(Kind::ByteRanges)).await;
    assert_eq!(hls.segments(), ["all.ts"; 3]);
    assert_eq!(hls.files().len(), 1);
    play(HlsOptions { video: true, ..options(Kind::ByteRanges) }).await;
}

#[tokio::test]
async fn packed_audio_is_played() {
    let hls = play(options(Kind::PackedAac)).await;
    assert!(hls.files().iter().all(|(_, bytes)| bytes.starts_with(b"ID3")));
}

#[tokio::test]
async fn encrypted_streams_are_played_with_their_key() {
    for rotate in [false, true] {
        for kind in [Kind::Ts, Kind::Fmp4, Kind::ByteRanges, Kind::PackedAac] {
            let plain = options(kind);
            let hls = play(HlsOptions { encryption: Encryption::Aes128 { key: KEY, rotate }, ..plain }).await;
            let keys = hls.files().iter().filter(|(name, _)| name.starts_with("key")).count();
            assert_eq!(keys, if rotate { 3 } else { 1 });
            assert_eq!(hls.playlist().text().contains("IV=0x"), rotate);
            let media = hls.files().iter().filter(|(name, _)| !name.starts_with("key") && name != "init.mp4");
            assert!(media.into_iter().all(|(_, bytes)| !bytes.starts_with(b"ID3") && bytes[0] != 0x47));
        }
    }
}

#[tokio::test]
async fn the_sound_can_come_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source.mp4");
    std::fs::write(&source, recording(directory.path(), 9, true)).unwrap();
    assert_eq!(identify_seconds(&source), all(0..9));
    for video in [false, true] {
        play(HlsOptions { source: Some(source.clone()), video, ..options(Kind::Ts) }).await;
    }
}

#[tokio::test]
async fn a_missing_segment_shows_in_the_seconds() {
    let directory = tempfile::tempdir().unwrap();
    let hls = Hls::make(directory.path(), &options(Kind::Ts));
    let upstream = Upstream::start().await;
    let url = upstream.serve_hls("/x", &hls);
    upstream.on("/x/00001.ts", [Reply::html(404, "gone")]);
    let seconds = decoded_seconds(directory.path(), &url).await;
    assert_eq!((seconds.len(), seconds[0], seconds[5]), (6, Some(0), Some(8)), "{seconds:?}");
}

#[tokio::test]
async fn two_encodes_are_played_in_sequence() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let plain = options(Kind::Ts);
    let encryption = Encryption::Aes128 { key: KEY, rotate: false };
    let encrypted = HlsOptions { encryption, ..plain.clone() };
    // Not Fmp4: there ffmpeg itself loses the segment after the discontinuity.
    for (first, second) in [(&plain, &plain), (&plain, &encrypted), (&encrypted, &plain)] {
        let [first, second] =
            [Hls::make(directories[0].path(), first), Hls::make(directories[1].path(), second)];
        let upstream = Upstream::start().await;
        let url = upstream.serve_hls("/x", &first);
        upstream.serve_hls("/x/b", &second);
        let joined = first.playlist().clone().concat(second.playlist().clone().with_prefix("b/"));
        assert!(joined.text().contains("#EXT-X-DISCONTINUITY\n"));
        upstream.on("/x/index.m3u8", [joined.reply()]);
        let seconds = decoded_seconds(directories[0].path(), &url).await;
        assert_eq!(
            (seconds.len(), seconds[0], seconds[4], seconds[16]),
            (18, Some(0), Some(4), Some(7)),
            "{seconds:?}"
        );
    }
}

#[tokio::test]
async fn a_master_playlist_leads_to_its_variants() {
    let directory = tempfile::tempdir().unwrap();
    let picture = Hls::make(directory.path(), &HlsOptions { video: true, ..options(Kind::Ts) });
    let sound = Hls::make(directory.path(), &options(Kind::Ts));
    let upstream = Upstream::start().await;
    upstream.serve_hls("/x.hls/90", &picture.with_playlist_name("index.panobf2"));
    upstream.serve_hls("/x.hls/sound", &sound);
    let variant = Variant::new("90/index.panobf2", 300_000).codecs("avc1.42c00a,mp4a.40.2");
    let text = master(
        &[variant.resolution(160, 90).audio_group("main")],
        &[Rendition::new("main", "Lecture", "sound/index.m3u8").as_default()],
    );
    upstream.on("/x.hls/master.m3u8", [Reply::playlist(text.clone())]);
    let url = upstream.url("/x.hls/master.m3u8");
    let args = ["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", &url];
    let streams = String::from_utf8(run("ffprobe", &args).await.stdout).unwrap();
    assert!(streams.contains("h264") && streams.contains("aac"), "{streams}");
    assert!(
        upstream.bytes_sent("/x.hls/sound/00000.ts") > 0 && upstream.bytes_sent("/x.hls/90/00000.ts") > 0
    );
    assert_eq!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:7\n\
         #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"main\",NAME=\"Lecture\",DEFAULT=YES,AUTOSELECT=YES,URI=\"sound/index.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS=\"avc1.42c00a,mp4a.40.2\",RESOLUTION=160x90,AUDIO=\"main\"\n\
         90/index.panobf2\n"
    );
}
