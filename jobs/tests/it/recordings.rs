//! Media made by ffmpeg, whole and broken.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs ffmpeg; the last argument is the file to make.
pub fn ffmpeg(args: &[&str], target: &Path) -> PathBuf {
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-y"])
        .args(args)
        .arg(target)
        .output()
        .expect("ffmpeg");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    target.to_owned()
}

/// `seconds` of a stereo tone.
pub fn tone(seconds: u32) -> String {
    format!("sine=frequency=440:sample_rate=44100:duration={seconds},aformat=channel_layouts=stereo")
}

/// An m4a with `seconds` of sound.
pub fn audio(directory: &Path, seconds: u32) -> PathBuf {
    ffmpeg(&["-f", "lavfi", "-i", &tone(seconds), "-c:a", "aac", "-b:a", "64k"], &directory.join("whole.m4a"))
}

/// A picture and sound, as a lecture recording has them.
pub fn video(directory: &Path, seconds: u32, audio_codec: &str, name: &str) -> PathBuf {
    let picture = format!("color=black:size=64x64:rate=5:duration={seconds}");
    let args = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone(seconds), "-c:v", "mpeg4"];
    ffmpeg(&[&args[..], &["-c:a", audio_codec, "-shortest"]].concat(), &directory.join(name))
}

/// 30 seconds with seconds 10 to 15 cut out, whose time stamps still say 30, as ffmpeg writes a stream with a
/// missing segment, with exit code 0.
pub fn with_hole(directory: &Path) -> PathBuf {
    let segments = directory.join("segment%02d.ts");
    let args = ["-f", "lavfi", "-i", &tone(30), "-c:a", "aac", "-f", "segment", "-segment_time", "5"];
    ffmpeg(&args, &segments);
    let mut stream = Vec::new();
    for number in [0, 1, 3, 4, 5] {
        stream.extend(std::fs::read(directory.join(format!("segment{number:02}.ts"))).unwrap());
    }
    let joined = directory.join("hole.ts");
    std::fs::write(&joined, stream).unwrap();
    ffmpeg(&["-i", joined.to_str().unwrap(), "-c:a", "copy"], &directory.join("hole.m4a"))
}

/// A recording whose second half never arrived.
pub fn truncated(directory: &Path, seconds: u32) -> PathBuf {
    let args = ["-f", "lavfi", "-i", &tone(seconds), "-c:a", "aac", "-movflags", "+faststart"];
    let whole = ffmpeg(&args, &directory.join("before.m4a"));
    let bytes = std::fs::read(whole).unwrap();
    let half = directory.join("truncated.m4a");
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    half
}
