//! The lecture: a voice that reads `lecture.txt`, and a moving picture as long as the voice, cut into segments.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::Trouble;

/// The words that are spoken.
pub const WORDS: &str = include_str!("lecture.txt");
/// The same words as a recording, for an ffmpeg that was built without a voice.
const RECORDING: &[u8] = include_bytes!("lecture.m4a");

/// A recording as an upstream would serve it.
pub struct Lecture {
    /// The list of its segments.
    pub playlist: PathBuf,
    /// The segments, in their order.
    pub segments: Vec<PathBuf>,
    /// Its length in seconds.
    pub seconds: f64,
    /// Whether the words were spoken now, or came from the recording in the repository.
    pub spoken_now: bool,
}

/// Makes the lecture in `directory`.
pub async fn make(directory: &Path) -> Result<Lecture, Trouble> {
    // Inside the directory, under plain names: a path within an ffmpeg filter would need quoting.
    tokio::fs::write(directory.join("lecture.txt"), WORDS).await?;
    let filters = output(directory, "ffmpeg", &["-hide_banner", "-filters"]).await?;
    let spoken_now = filters.contains(" flite ");
    let voice = if spoken_now {
        let flite = "flite=textfile=lecture.txt:voice=slt";
        output(directory, "ffmpeg", &["-v", "error", "-y", "-f", "lavfi", "-i", flite, "voice.wav"]).await?;
        "voice.wav"
    } else {
        tokio::fs::write(directory.join("voice.m4a"), RECORDING).await?;
        "voice.m4a"
    };
    let asked = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", voice];
    let seconds = output(directory, "ffprobe", &asked).await?.trim().to_owned();
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
    // Encoders that every build of ffmpeg has.
    let encoders = ["-c:v", "mpeg4", "-q:v", "12", "-g", "40", "-c:a", "aac", "-b:a", "64k"];
    let cut =
        ["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod", "-hls_segment_filename", "%03d.ts"];
    let cut = [&cut[..], &["index.m3u8"]].concat();
    output(directory, "ffmpeg", &[&picture[..], &encoders[..], &cut[..]].concat()).await?;
    let seconds = seconds.parse().map_err(|_| format!("ffprobe gives no duration but {seconds:?}"))?;
    let playlist = directory.join("index.m3u8");
    let text = tokio::fs::read_to_string(&playlist).await?;
    let segments =
        text.lines().filter(|line| line.ends_with(".ts")).map(|name| directory.join(name)).collect();
    Ok(Lecture { playlist, segments, seconds, spoken_now })
}

/// Runs a program to its end and gives what it printed.
async fn output(directory: &Path, program: &str, arguments: &[&str]) -> Result<String, Trouble> {
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
