use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::source::hls::join::join_files;

fn ffmpeg(args: &[&str], target: &Path) -> Vec<u8> {
    let done =
        Command::new("ffmpeg").args(["-nostdin", "-loglevel", "error", "-y"]).args(args).arg(target).output();
    let done = done.expect("ffmpeg runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Seconds of sound that ffmpeg decodes.
fn seconds(file: &Path) -> f64 {
    let args = ["-i", file.to_str().expect("a path"), "-ar", "8000", "-ac", "1", "-f", "s16le"];
    ffmpeg(&args, Path::new("-")).len() as f64 / 16_000.0
}

fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).expect("small");
    [&size.to_be_bytes()[..], name, body].concat()
}

/// A map, and segments of two seconds whose times continue.
fn segments(directory: &Path, count: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let read = |name: &str| std::fs::read(directory.join(name)).expect("the output of ffmpeg");
    let length = format!("sine=duration={}", 2 * count);
    let names = directory.join("%d.m4s");
    let args = [
        "-f",
        "lavfi",
        "-i",
        &length,
        "-c:a",
        "aac",
        "-f",
        "hls",
        "-hls_time",
        "2",
        "-hls_playlist_type",
        "vod",
    ];
    let segments = ["-hls_segment_type", "fmp4", "-hls_segment_filename", names.to_str().expect("a path")];
    ffmpeg(&[&args[..], &segments].concat(), &directory.join("index.m3u8"));
    (read("init.mp4"), (0..count).map(|number| read(&format!("{number}.m4s"))).collect())
}

/// Joins these bytes, and returns the seconds of each file.
fn joined(directory: &Path, parts: &[Vec<u8>]) -> Vec<f64> {
    let write = |(number, bytes): (usize, &Vec<u8>)| {
        let path = directory.join(format!("part{number}"));
        std::fs::write(&path, bytes).expect("written");
        path
    };
    let parts: Vec<PathBuf> = parts.iter().enumerate().map(write).collect();
    let target = directory.join("run");
    let files = join_files(&parts, &target);
    (0..files).map(|number| seconds(&target.with_extension(number.to_string()))).collect()
}

fn assert_seconds(found: &[f64], expected: &[f64], what: &str) {
    let same = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.2);
    assert!(same, "{what}: {found:?} instead of {expected:?}");
}

/// Boxes of the first name, wherever they are.
fn rename(bytes: &[u8], from: &[u8; 4], to: &[u8; 4]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for at in 0..bytes.len() - 4 {
        if &bytes[at..at + 4] == from {
            bytes[at..at + 4].copy_from_slice(to);
        }
    }
    bytes
}

#[test]
fn segments_begin_with_any_box_and_bring_their_own_map() {
    let directory = tempfile::tempdir().expect("a directory");
    let (map, segments) = segments(directory.path(), 3);
    let join = |parts: &[Vec<u8>]| joined(directory.path(), parts);
    let with =
        |before: Vec<u8>| segments.iter().map(move |segment| [before.clone(), segment.clone()].concat());
    let behind_map = |segments: &mut dyn Iterator<Item = Vec<u8>>| -> Vec<Vec<u8>> {
        std::iter::once(map.clone()).chain(segments).collect()
    };
    let event = [b"\x01\0\0\0".as_slice(), &[0; 20], b"urn:x\0v\0data"].concat();
    let index = [[0; 4].as_slice(), &[0, 0, 0, 1], &1000_u32.to_be_bytes(), &[0; 12], &[0, 0, 0, 0]].concat();
    for (name, body) in [
        (b"styp", b"msdhmsdh".to_vec()),
        (b"emsg", event),
        (b"sidx", index),
        (b"prft", vec![0; 24]),
        (b"free", vec![0; 900]),
    ] {
        let parts = behind_map(&mut with(boxed(name, &body)));
        assert_seconds(&join(&parts), &[6.0], &String::from_utf8_lossy(name));
        let joined = std::fs::read(directory.path().join("run.0")).expect("read");
        let begun = boxed(name, &body);
        assert!(!joined.windows(begun.len()).any(|bytes| bytes == begun), "{name:?} is left out");
    }

    // Each brings the same map, perhaps made at another time.
    let mut later = map.clone();
    let created = later.windows(4).position(|name| name == b"mvhd").expect("a box") + 8;
    later[created..created + 4].copy_from_slice(b"time");
    let own: Vec<Vec<u8>> = segments
        .iter()
        .zip([&map, &later, &map])
        .map(|(segment, map)| [&map[..], segment].concat())
        .collect();
    assert_seconds(&join(&own), &[6.0], "own maps");
    let run = std::fs::read(directory.path().join("run.0")).expect("read");
    assert_eq!(run.windows(4).filter(|bytes| bytes == b"moov").count(), 1);
    assert_seconds(&join(&behind_map(&mut own.iter().cloned())), &[6.0], "own maps behind a map");

    // A last box without a size reaches to the end of its segment alone.
    let open = |segment: &Vec<u8>| {
        let mut bytes = segment.clone();
        let data = bytes.windows(4).rposition(|name| name == b"mdat").expect("a box");
        bytes[data - 4..data].fill(0);
        bytes
    };
    assert_seconds(&join(&behind_map(&mut segments.iter().map(open))), &[6.0], "open boxes");

    // What a wrong padding leaves.
    let padded = |segment: &Vec<u8>| [&segment[..], &[0; 12]].concat();
    assert_seconds(&join(&behind_map(&mut segments.iter().map(padded))), &[6.0], "zeros at the end");
}

/// Offsets in a `moof` count the bytes up to its data.
#[test]
fn boxes_between_a_fragment_and_its_data_stay() {
    let directory = tempfile::tempdir().expect("a directory");
    let (map, segments) = segments(directory.path(), 2);
    let middle = |segment: &Vec<u8>| {
        let data = segment.windows(4).position(|name| name == b"mdat").expect("a box") - 4;
        let mut bytes = [&segment[..data], &boxed(b"free", &[7; 100]), &segment[data..]].concat();
        let run = bytes.windows(4).position(|name| name == b"trun").expect("a box");
        let offset = u32::from_be_bytes(bytes[run + 12..run + 16].try_into().expect("four bytes")) + 108;
        bytes[run + 12..run + 16].copy_from_slice(&offset.to_be_bytes());
        bytes
    };
    let parts: Vec<Vec<u8>> = std::iter::once(map).chain(segments.iter().map(middle)).collect();
    assert_seconds(&joined(directory.path(), &parts), &[4.0], "a box in the middle");
    let run = std::fs::read(directory.path().join("run.0")).expect("read");
    assert_eq!(run.windows(100).filter(|bytes| *bytes == [7; 100]).count(), 2);
}

#[test]
fn another_coding_and_a_whole_file_begin_another_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let (map, segments) = segments(directory.path(), 2);
    let other = rename(&map, b"mp4a", b"alac");
    assert_ne!(other, map);
    let parts = [[&map[..], &segments[0]].concat(), [&other[..], &segments[1]].concat()];
    for (number, bytes) in parts.iter().enumerate() {
        std::fs::write(directory.path().join(format!("part{number}")), bytes).expect("written");
    }
    let paths: Vec<PathBuf> = (0..2).map(|number| directory.path().join(format!("part{number}"))).collect();
    assert_eq!(join_files(&paths, &directory.path().join("run")), 2);

    let whole = directory.path().join("whole.m4a");
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=3", "-c:a", "aac", "-movflags", "+faststart"], &whole);
    let whole = std::fs::read(whole).expect("read");
    assert_seconds(&joined(directory.path(), &[whole.clone(), whole]), &[3.0, 3.0], "whole files");
}

#[test]
fn a_box_that_is_cut_shows() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, segments) = segments(directory.path(), 1);
    let path = directory.path().join("segment");
    let boxes = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        top_level(&mut File::open(&path).expect("open")).map(|boxes| boxes.len())
    };
    let whole = boxes(&segments[0]).expect("boxes");
    assert_eq!(boxes(&[&segments[0][..], &[0; 15]].concat()).expect("boxes"), whole);
    for cut in [1, 100, segments[0].len() / 2] {
        assert_eq!(
            boxes(&segments[0][..segments[0].len() - cut]).expect_err("cut").kind(),
            ErrorKind::InvalidData
        );
    }
    let large = [[0, 0, 0, 1].as_slice(), b"free", &24_u64.to_be_bytes(), &[0; 8]].concat();
    assert_eq!(boxes(&large).expect("boxes"), 1);
    assert!(boxes(&[[0, 0, 0, 1].as_slice(), b"free", &[0xff; 8], &[0; 40]].concat()).is_err());
}

/// Containers within containers do not exhaust the stack.
#[test]
fn a_deep_description_ends() {
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        bytes = boxed(b"trak", &bytes);
        if bytes.len() > 60_000 {
            break;
        }
    }
    let mut essence = Vec::new();
    describe(&bytes, 0, &mut essence);
    assert_eq!(essence, b"trak".repeat(MAX_DEPTH));
}
