use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::source::hls::join::join_files;

/// A file with so long a tone.
fn encode(directory: &std::path::Path, name: &str, seconds: &str, codec: &[&str]) -> PathBuf {
    let path = directory.join(name);
    let source = format!("sine=duration={seconds}");
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", &source])
        .args(codec)
        .arg(&path)
        .status();
    assert!(done.expect("ffmpeg runs").success());
    path
}

fn samples(path: &std::path::Path) -> usize {
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(path)
        .args(["-ar", "44100", "-ac", "1", "-f", "s16le", "-"])
        .output()
        .expect("ffmpeg runs");
    done.stdout.len() / 2
}

/// An encoder notes the length of its file in a frame at its beginning. It is no sound.
#[test]
fn tags_and_notes_of_each_file_are_left_out() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, codec) in [
        ("cbr.mp3", ["-c:a", "libmp3lame", "-b:a", "64k"]),
        ("vbr.mp3", ["-c:a", "libmp3lame", "-q:a", "9"]),
        ("low.mp3", ["-c:a", "libmp3lame", "-ar", "16000"]),
        ("sound.aac", ["-c:a", "aac", "-f", "adts"]),
    ] {
        let file = encode(directory.path(), name, "2", &codec);
        let bytes = std::fs::read(&file).expect("read");
        let mut opened = File::open(&file).expect("open");
        assert!(is_all_frames(&mut opened).expect("frames"), "{name}");
        let tags = skip_tags(&mut opened).expect("tags") as usize;
        assert_eq!(tags > 0, name.ends_with("mp3"), "{name}");

        let target = directory.path().join("joined");
        assert_eq!(join_files(&[file.clone(), file.clone(), file], &target), 1);
        let joined = std::fs::read(target.with_extension("0")).expect("read");
        let has = |name: &[u8]| joined.windows(name.len()).any(|bytes| bytes == name);
        assert!(!has(b"ID3") && !has(b"Xing") && !has(b"Info"), "{name}");
        // Each file has a few frames of its encoder's delay; a note would add one more to each.
        let frames = |bytes: &[u8]| {
            let (mut at, mut count) = (0, 0);
            while let Some(length) =
                bytes.get(at..at + 7).and_then(|head| adts_length(head).or_else(|| layer3_length(head)))
            {
                (at, count) = (at + length as usize, count + 1);
            }
            count
        };
        let notes = usize::from(name.ends_with("mp3"));
        assert_eq!(frames(&joined), 3 * (frames(&bytes[tags..]) - notes), "{name}");
        let found = samples(&target.with_extension("0")) as f64 / 44_100.0;
        assert!((6.0..6.4).contains(&found), "{name}: {found} s");
    }
}

#[test]
fn random_bytes_are_no_frames() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = encode(directory.path(), "a.aac", "1", &["-c:a", "aac", "-f", "adts"]);
    let bytes = std::fs::read(&file).expect("read");
    let check = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("written");
        is_all_frames(&mut File::open(&file).expect("open")).expect("read")
    };
    assert!(check(&bytes) && check(&[&bytes[..], &[0; 15]].concat()));
    let mut damaged = bytes.clone();
    damaged[7..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    assert!(!check(&damaged), "one head is by chance");
    assert!(!check(&bytes[..bytes.len() - 30]), "cut within a frame");
    assert!(!check(&bytes[..7]) && !check(b"ID3\x04\0\0\0\0\0\x7f"));
}
