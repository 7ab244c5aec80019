//! Segments as ffmpeg cuts them.

use std::path::Path;

use bytes::{Bytes, BytesMut};

use super::key::Key;
use super::options::{HlsOptions, Kind};
use super::playlist::{Entry, MediaPlaylist};
use crate::media::{Arguments, SAMPLE_RATE};

/// Length of an AAC frame.
const FRAME_SECONDS: f64 = 1024.0 / SAMPLE_RATE as f64;

/// A stream between ffmpeg and its final files.
pub(super) struct Stream {
    /// The file of `EXT-X-MAP`.
    pub(super) map: Option<(String, Bytes)>,
    pub(super) segments: Vec<Segment>,
    pub(super) keys: Vec<(String, Bytes)>,
}

pub(super) struct Segment {
    name: String,
    /// `EXTINF`, in seconds.
    pub(super) seconds: f64,
    pub(super) bytes: Bytes,
    pub(super) key: Option<Key>,
}

/// Generates the segments of a stream, each with its own bytes.
pub(super) fn make(directory: &Path, options: &HlsOptions) -> Stream {
    let &HlsOptions { seconds, segment_seconds, kind, video, .. } = options;
    assert!(!video || kind != Kind::PackedAac, "packed audio has no picture");
    let (extension, list) = (extension(kind), directory.join("ffmpeg.m3u8"));
    let (names, length) = (directory.join(format!("%05d.{extension}")), segment_seconds.to_string());
    let mut args = Arguments::default();
    // The encoder adds a frame before the first. One frame less avoids a tiny extra segment at the end.
    let sound = f64::from(seconds) - FRAME_SECONDS;
    args.input(options.source.as_deref()).sound_and_picture(sound, video, segment_seconds);
    match kind {
        Kind::PackedAac => {
            args.add(["-f", "segment", "-segment_format", "adts", "-segment_time", &length]);
            args.add(["-segment_list_type", "m3u8", "-segment_list"]).add([&list]).add([&names]);
        }
        Kind::Ts | Kind::ByteRanges | Kind::Fmp4 => {
            let format = if kind == Kind::Fmp4 { "fmp4" } else { "mpegts" };
            args.add(["-f", "hls", "-hls_playlist_type", "vod", "-hls_time", &length]);
            args.add(["-hls_segment_type", format, "-hls_segment_filename"]).add([&names]).add([&list]);
        }
    }
    args.run();

    let read = |name: &str| Bytes::from(std::fs::read(directory.join(name)).expect("the output of ffmpeg"));
    let text = std::fs::read_to_string(&list).expect("the output of ffmpeg");
    let segments = parse(&text)
        .into_iter()
        .map(|(name, seconds)| Segment { bytes: read(&name), name, seconds, key: None })
        .collect();
    // ffmpeg's default name.
    let map = (kind == Kind::Fmp4).then(|| ("init.mp4".to_owned(), read("init.mp4")));
    Stream { map, segments, keys: Vec::new() }
}

fn extension(kind: Kind) -> &'static str {
    match kind {
        Kind::Ts | Kind::ByteRanges => "ts",
        Kind::Fmp4 => "m4s",
        Kind::PackedAac => "aac",
    }
}

/// Name and seconds of each segment in ffmpeg's playlist.
fn parse(text: &str) -> Vec<(String, f64)> {
    let mut seconds = 0.0;
    let mut segments = Vec::new();
    for line in text.lines() {
        if let Some(duration) = line.strip_prefix("#EXTINF:") {
            seconds = duration.trim_end_matches(',').parse().expect("a duration");
        } else if !line.starts_with('#') {
            segments.push((line.to_owned(), seconds));
        }
    }
    segments
}

impl Stream {
    /// The files of the stream and their playlist.
    pub(super) fn pack(self, kind: Kind) -> (Vec<(String, Bytes)>, MediaPlaylist) {
        let map = self.map.as_ref().map(|(name, _)| name.clone());
        let mut files: Vec<(String, Bytes)> = self.map.into_iter().chain(self.keys).collect();
        let mut entries = Vec::new();
        let mut all = BytesMut::new();
        for Segment { name, seconds, bytes, key } in self.segments {
            let range = (kind == Kind::ByteRanges).then(|| (bytes.len(), all.len()));
            let uri = if range.is_some() { "all.ts".to_owned() } else { name };
            let mut entry = Entry::new(uri.clone(), seconds);
            (entry.map, entry.key, entry.range) = (map.clone(), key, range);
            entries.push(entry);
            match range {
                Some(_) => all.extend_from_slice(&bytes),
                None => files.push((uri, bytes)),
            }
        }
        if kind == Kind::ByteRanges {
            files.push(("all.ts".to_owned(), all.freeze()));
        }
        (files, MediaPlaylist::new(entries))
    }
}
