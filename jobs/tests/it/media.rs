//! ffmpeg and ffprobe: their output, what they refuse, and that they die with their parent.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bedel_media::{MediaError, MediaTools};
use bedel_queue::JobError;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::tempdir;

use crate::recordings;

fn tools() -> MediaTools {
    MediaTools::find().expect("ffmpeg and ffprobe")
}

/// The MD5 of the compressed packets of the first audio stream.
fn packets(file: &Path) -> String {
    let args =
        ["-loglevel", "error", "-i", file.to_str().unwrap(), "-map", "0:a:0", "-c", "copy", "-f", "md5", "-"];
    let done = Command::new("ffmpeg").args(args).output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn aac_is_copied_and_anything_else_is_encoded() {
    let dir = tempdir().unwrap();
    let target = dir.path().join("out");

    let source = recordings::video(dir.path(), 6, "aac", "aac.mp4");
    tools().extract_audio(&source, &target).await.unwrap();
    assert_eq!(packets(&target), packets(&source));
    let report = tools().probe(&target).await.unwrap();
    assert!(!report.has_video && report.audio.len() == 1, "{report:?}");

    let source = recordings::video(dir.path(), 6, "libmp3lame", "mp3.mkv");
    tools().extract_audio(&source, &target).await.unwrap();
    let report = tools().probe(&target).await.unwrap();
    let stream = &report.audio[0];
    assert_eq!((stream.codec.as_str(), stream.channels, stream.sample_rate), ("aac", 2, 44_100));
    assert!((report.container_seconds.unwrap() - 6.0).abs() < 0.2, "{report:?}");
    assert!((tools().measure_sound(&target).await.unwrap().seconds - 6.0).abs() < 0.2);
}

#[tokio::test]
async fn a_probe_reports_what_the_container_says() {
    let dir = tempdir().unwrap();
    let report = tools().probe(&recordings::video(dir.path(), 4, "aac", "v.mp4")).await.unwrap();
    assert!(report.has_video);
    let stream = &report.audio[0];
    assert!((stream.seconds.unwrap() - 4.0).abs() < 0.2 && stream.start_seconds < 0.1, "{report:?}");
}

/// Without a header, ffprobe divides the size by the bit rate of the first frames.
#[tokio::test]
async fn an_estimated_length_announces_nothing() {
    let dir = tempdir().unwrap();
    let source = "aevalsrc=if(lt(t\\,56)\\,0\\,random(0)-0.5):d=60:s=44100";
    let encode = |name: &str, args: &[&str]| {
        recordings::ffmpeg(&[&["-f", "lavfi", "-i", source], args].concat(), &dir.path().join(name))
    };
    let bare = encode("bare.mp3", &["-q:a", "2", "-write_xing", "0", "-id3v2_version", "0"]);
    let adts = encode("bare.aac", &["-c:a", "aac"]);
    for file in [bare, adts] {
        let recording = tools().extract_audio(&file, &dir.path().join("out")).await.unwrap();
        assert_eq!(recording.claimed_seconds(), None, "{file:?}");
        let report = tools().probe(&file).await.unwrap();
        let estimate = report.container_seconds.unwrap();
        assert!((estimate - 60.0).abs() > 3.0, "{file:?}: {estimate} s are right by chance");
        assert_eq!(report.announced_seconds(), None, "{file:?}");
        let report = tools().probe(&dir.path().join("out")).await.unwrap();
        assert!((report.announced_seconds().unwrap() - 60.0).abs() < 0.2, "{file:?}: {report:?}");
    }
    // A header states it.
    let report = tools().probe(&encode("header.mp3", &["-q:a", "2"])).await.unwrap();
    assert!((report.announced_seconds().unwrap() - 60.0).abs() < 0.2, "{report:?}");
}

/// Container and exit code look fine; the samples do not.
#[tokio::test]
async fn a_hole_and_a_cut_show_only_in_the_samples() {
    let dir = tempdir().unwrap();
    let hole = recordings::with_hole(dir.path());
    assert!(tools().probe(&hole).await.unwrap().container_seconds.unwrap() > 29.0);
    let decoded = tools().measure_sound(&hole).await.unwrap().seconds;
    assert!((24.5..25.5).contains(&decoded), "{decoded}");

    let cut = recordings::truncated(dir.path(), 60);
    assert!(tools().probe(&cut).await.unwrap().container_seconds.unwrap() > 59.0);
    let decoded = tools().measure_sound(&cut).await.unwrap().seconds;
    assert!((20.0..40.0).contains(&decoded), "{decoded}");
}

#[tokio::test]
async fn pcm_keeps_time_across_a_hole() {
    let dir = tempdir().unwrap();
    let hole = recordings::with_hole(dir.path());
    let pcm = dir.path().join("pcm");
    tools().decode_pcm(&hole, &pcm).await.unwrap();
    let bytes = std::fs::read(pcm).unwrap();
    let samples: Vec<f32> =
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let seconds = samples.len() as f64 / 16_000.0;
    assert!((29.5..30.5).contains(&seconds), "{seconds}");
    let loud = |second: usize| samples[second * 16_000..][..16_000].iter().any(|sample| sample.abs() > 0.05);
    assert!(loud(5) && !loud(12) && loud(20));
}

#[tokio::test]
async fn a_file_that_is_not_media_is_refused_fatally_and_without_paths() {
    let dir = tempdir().unwrap();
    let page = dir.path().join("login.mp4");
    std::fs::write(&page, "<!DOCTYPE html><title>Sign in</title>".repeat(100)).unwrap();
    for error in [
        tools().probe(&page).await.unwrap_err(),
        tools().measure_sound(&page).await.unwrap_err(),
        tools().extract_audio(&page, &dir.path().join("out")).await.unwrap_err(),
    ] {
        assert!(matches!(error, MediaError::NotMedia { .. }), "{error}");
        assert!(!error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
        let error = JobError::from(error);
        assert!(error.is_fatal() && error.class() == "not-media");
    }

    let picture = dir.path().join("slides.mp4");
    recordings::ffmpeg(
        &["-f", "lavfi", "-i", "color=black:size=64x64:rate=5:duration=3", "-c:v", "mpeg4"],
        &picture,
    );
    let error = tools().extract_audio(&picture, &dir.path().join("out")).await.unwrap_err();
    assert!(matches!(error, MediaError::NoAudio), "{error}");

    let error = tools().probe(&dir.path().join("nothing")).await.unwrap_err();
    assert!(matches!(error, MediaError::SourceMissing), "{error}");
}

/// A playlist disguised as a recording would read other files of this host into a transcript.
#[tokio::test]
async fn lists_that_name_other_files_are_refused() {
    let dir = tempdir().unwrap();
    let secret = recordings::ffmpeg(
        &["-f", "lavfi", "-i", &recordings::tone(5), "-c:a", "aac"],
        &dir.path().join("s.ts"),
    );
    let secret = secret.to_str().unwrap();
    let lists = [
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{secret}\n#EXT-X-ENDLIST\n"),
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{secret}\n#EXT-X-ENDLIST\n"),
        format!("ffconcat version 1.0\nfile {secret}\n"),
        format!("ffconcat version 1.0\nfile 'file:{secret}'\n"),
        format!("v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n# {secret}\n"),
    ];
    for (number, list) in lists.iter().enumerate() {
        for name in ["lecture.mp4", "lecture.m3u8", "lecture.ffconcat", "lecture.sdp"] {
            let file = dir.path().join(format!("{number}-{name}"));
            std::fs::write(&file, list).unwrap();
            let error = tools().measure_sound(&file).await.unwrap_err();
            assert!(matches!(error, MediaError::NotMedia { .. }), "{name}: {list}: {error}");
            assert!(matches!(tools().probe(&file).await.unwrap_err(), MediaError::NotMedia { .. }));
        }
    }
}

/// Thousands of lines on stderr, more than a pipe holds, neither block the tool nor fill memory.
#[tokio::test]
async fn a_chatty_tool_does_not_hang() {
    let dir = tempdir().unwrap();
    let source = recordings::ffmpeg(
        &["-f", "lavfi", "-i", &recordings::tone(120), "-c:a", "aac"],
        &dir.path().join("s.aac"),
    );
    let mut bytes = std::fs::read(&source).unwrap();
    for (at, byte) in bytes.iter_mut().enumerate().skip(5000) {
        if at % 601 == 0 {
            *byte ^= 0x5a;
        }
    }
    std::fs::write(&source, bytes).unwrap();
    let decoded = tokio::time::timeout(Duration::from_secs(60), tools().measure_sound(&source)).await;
    let decoded = decoded.expect("it ends");
    assert!(matches!(decoded, Ok(sound) if sound.seconds < 119.0), "{decoded:?}");
}

#[tokio::test]
async fn a_full_disk_is_waited_out() {
    let dir = tempdir().unwrap();
    let error =
        tools().decode_pcm(&recordings::audio(dir.path(), 5), Path::new("/dev/full")).await.unwrap_err();
    assert!(matches!(error, MediaError::DiskFull), "{error}");
    let error = JobError::from(error);
    assert!(error.wait_delay().is_some() && error.class() == "disk-full");
}

/// Ids of running processes that use `file`.
fn processes_on(file: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    // A zombie has no command line any more.
    let on_file = names.filter(|pid| {
        pid.bytes().all(|byte| byte.is_ascii_digit())
            && std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(file))
    });
    on_file.collect()
}

fn until(deadline: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < deadline, "{what}: not within {deadline:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A file that ffmpeg never finishes reading.
fn endless(directory: &Path) -> String {
    let fifo = directory.join("endless.mp4");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fifo.to_str().unwrap().to_owned()
}

fn is_ffmpeg(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ffmpeg")
}

/// Not a test: the worker process of the test below.
#[tokio::test]
async fn helper_that_runs_ffmpeg() {
    if let Ok(file) = std::env::var("BEDEL_TEST_ENDLESS") {
        let _ = tools().measure_sound(Path::new(&file)).await;
    }
}

#[test]
fn kill_nine_of_the_worker_kills_ffmpeg() {
    let dir = tempdir().unwrap();
    let file = endless(dir.path());
    let mut worker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "media::helper_that_runs_ffmpeg"])
        .env("BEDEL_TEST_ENDLESS", &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(Duration::from_secs(20), "ffmpeg runs", || processes_on(&file).iter().any(|pid| is_ffmpeg(pid)));
    worker.kill().unwrap();
    until(Duration::from_secs(2), "ffmpeg and its watcher end", || processes_on(&file).is_empty());
    worker.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_work_kills_ffmpeg() {
    let dir = tempdir().unwrap();
    let file = endless(dir.path());
    let work = tokio::spawn({
        let file = file.clone();
        async move { tools().measure_sound(Path::new(&file)).await }
    });
    until(Duration::from_secs(20), "ffmpeg runs", || processes_on(&file).iter().any(|pid| is_ffmpeg(pid)));
    work.abort();
    until(Duration::from_secs(1), "ffmpeg and its watcher end", || processes_on(&file).is_empty());
}

/// A tool killed by the system says nothing about the recording.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_tool_is_retried() {
    let dir = tempdir().unwrap();
    let file = endless(dir.path());
    let work = tokio::spawn({
        let file = file.clone();
        async move { tools().measure_sound(Path::new(&file)).await }
    });
    let ffmpeg = || processes_on(&file).into_iter().find(|pid| is_ffmpeg(pid));
    until(Duration::from_secs(20), "ffmpeg runs", || ffmpeg().is_some());
    let pid = ffmpeg().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let error = work.await.unwrap().unwrap_err();
    assert!(matches!(error, MediaError::Killed { .. }), "{error}");
    assert!(!JobError::from(error).is_fatal());
    until(Duration::from_secs(1), "the watcher ends", || processes_on(&file).is_empty());
}

#[tokio::test]
async fn nothing_is_left_after_a_normal_end() {
    let dir = tempdir().unwrap();
    let file = recordings::audio(dir.path(), 2);
    tools().measure_sound(&file).await.unwrap();
    until(Duration::from_secs(1), "the watcher ends", || processes_on(file.to_str().unwrap()).is_empty());
}

/// Samples of a recording made by a filter, as engines get them.
async fn heard(directory: &Path, filter: &str) -> Vec<f32> {
    let (file, pcm) = (directory.join("made.m4a"), directory.join("made.f32"));
    let args = ["-f", "lavfi", "-i", filter, "-c:a", "aac", "-b:a", "192k"];
    tools().decode_pcm(&recordings::ffmpeg(&args, &file), &pcm).await.unwrap();
    let bytes = std::fs::read(&pcm).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

/// Root mean square.
fn level(samples: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), sample| (sum + sample * sample, count + 1.0));
    (sum / count as f32).sqrt()
}

#[tokio::test]
async fn a_channel_of_noise_is_left_out_and_everything_else_is_mixed() {
    let dir = tempdir().unwrap();
    let voice = "aevalsrc='0.3*sin(2*PI*300*t)*lt(mod(t\\,2)\\,1.4)':s=48000:d=12";
    let other = "aevalsrc='0.3*sin(2*PI*500*t)*lt(mod(t\\,3)\\,2)':s=48000:d=12";
    let (noise, hum) = ("anoisesrc=r=48000:a=0.3:d=12:seed=1", "sine=frequency=50:sample_rate=48000:d=12");
    let alone = heard(dir.path(), voice).await;
    let both = |left: &str, right: &str| format!("{left}[l];{right}[r];[l][r]amerge=inputs=2");
    for (left, right, is_alone) in [
        (voice, noise, true),
        (noise, voice, true),
        (hum, voice, true),
        (voice, other, false),
        (noise, hum, false),
    ] {
        let got = heard(dir.path(), &both(left, right)).await;
        assert!(got.len().abs_diff(alone.len()) < 16_000, "{left} {right}");
        let difference =
            level(got.iter().zip(&alone).map(|(got, alone)| got - alone)) / level(alone.iter().copied());
        assert_eq!(difference < 0.1, is_alone, "{left} {right}: {difference}");
    }
    // The voice stays if the other channel is unknown.
    let mixed = heard(dir.path(), &both(voice, "anullsrc=r=48000:cl=mono:d=12")).await;
    assert!(level(mixed.iter().copied()) > 0.4 * level(alone.iter().copied()));
}
