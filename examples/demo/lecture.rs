//! The lecture: a voice that reads `lecture.txt`, and a moving picture as long as the voice.

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
    /// The video file.
    pub path: PathBuf,
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
    let encoders = ["-c:v", "mpeg4", "-q:v", "12", "-c:a", "aac", "-b:a", "64k", "lecture.mp4"];
    output(directory, "ffmpeg", &[&picture[..], &encoders[..]].concat()).await?;
    let seconds = seconds.parse().map_err(|_| format!("ffprobe gives no duration but {seconds:?}"))?;
    Ok(Lecture { path: directory.join("lecture.mp4"), seconds, spoken_now })
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
