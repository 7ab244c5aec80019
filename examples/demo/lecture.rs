//! Generates the lecture: a voice that reads `lecture.txt` and a moving picture of the same length, cut into
//! segments.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::error::DemoError;

/// The spoken words.
pub const WORDS: &str = include_str!("lecture.txt");
/// A recording of the same words, for an ffmpeg without a text-to-speech voice.
const RECORDING: &[u8] = include_bytes!("lecture.m4a");

/// A recording in the form that an upstream serves.
pub struct Lecture {
    /// The HLS playlist.
    pub playlist: PathBuf,
    /// The segments in order.
    pub segments: Vec<PathBuf>,
    /// Length in seconds.
    pub seconds: f64,
    /// Whether ffmpeg spoke the words. If not, they come from the recording in the repository.
    pub is_synthesized: bool,
}

/// Generates the lecture in `directory`.
pub async fn make(directory: &Path) -> Result<Lecture, DemoError> {
    // ffmpeg runs in the directory and gets plain names: a path in a filter would need quoting.
    tokio::fs::write(directory.join("lecture.txt"), WORDS).await?;
    let filters = output(directory, "ffmpeg", &["-hide_banner", "-filters"]).await?;
    let is_synthesized = filters.contains(" flite ");
    let voice = if is_synthesized {
        let flite = "flite=textfile=lecture.txt:voice=slt";
        output(directory, "ffmpeg", &["-v", "error", "-y", "-f", "lavfi", "-i", flite, "voice.wav"]).await?;
        "voice.wav"
    } else {
        tokio::fs::write(directory.join("voice.m4a"), RECORDING).await?;
        "voice.m4a"
    };
    let probe = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", voice];
    let seconds = output(directory, "ffprobe", &probe).await?.trim().to_owned();
    let picture = [
        "-v",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=10",
        "-i",
        voice,
        "-t",
        &seconds,
    ];
    // Every build of ffmpeg has these encoders.
    let encoders = ["-c:v", "mpeg4", "-q:v", "12", "-g", "40", "-c:a", "aac", "-b:a", "64k"];
    let cut =
        ["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod", "-hls_segment_filename", "%03d.ts"];
    let cut = [&cut[..], &["index.m3u8"]].concat();
    output(directory, "ffmpeg", &[&picture[..], &encoders[..], &cut[..]].concat()).await?;
    let seconds =
        seconds.parse().map_err(|_| format!("ffprobe printed {seconds:?} instead of a duration"))?;
    let playlist = directory.join("index.m3u8");
    let text = tokio::fs::read_to_string(&playlist).await?;
    let segments =
        text.lines().filter(|line| line.ends_with(".ts")).map(|name| directory.join(name)).collect();
    Ok(Lecture { playlist, segments, seconds, is_synthesized })
}

/// Runs a program and returns its output.
async fn output(directory: &Path, program: &str, arguments: &[&str]) -> Result<String, DemoError> {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("{program}: {error}"))?;
    if !done.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim()).into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
