//! What is downloaded: made once, served many times.

use std::path::PathBuf;
use std::time::Duration;

use bedel_upstream::hls::{Hls, HlsOptions, content_type};
use bedel_upstream::{Fault, Resource, Upstream, media};
use bytes::Bytes;

use crate::directory::Directory;
use crate::error::{Result, io, peer};

/// Length of the recording and of the stream, in seconds.
pub(super) const RECORDING_SECONDS: u32 = 3600;

/// Segments of the stream.
pub(super) const SEGMENTS: u32 = 720;

/// How long the server of the stream waits before each answer.
pub(super) const LATENCY: Duration = Duration::from_millis(50);

/// Size of the file.
pub(super) const FILE_BYTES: usize = 500_000_000;

/// Files, in a directory that goes with this.
pub(super) struct Materials {
    directory: Directory,
    file: Resource,
    stream: Hls,
}

impl Materials {
    /// Makes them, which takes a minute.
    pub(super) async fn make() -> Result<Self> {
        tokio::task::spawn_blocking(make).await.map_err(peer)?
    }

    /// A file in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The recording as it came from the encoder, without what makes the file large.
    pub(super) fn recording(&self) -> PathBuf {
        self.path(RECORDING)
    }

    /// The file, which is a recording.
    pub(super) fn file(&self) -> Resource {
        self.file.clone()
    }

    /// Puts the file on this path and returns its URL.
    pub(super) fn serve_file(&self, upstream: &Upstream, path: &str) -> String {
        upstream.serve(path, self.file());
        upstream.url(path)
    }

    /// Puts the stream, whose segments are late, into this folder and returns the URL of its playlist.
    pub(super) fn serve_stream(&self, upstream: &Upstream, folder: &str) -> String {
        let url = upstream.serve_hls(folder, &self.stream);
        for (name, bytes) in self.stream.files() {
            let late = Resource::new(bytes.clone()).always(Fault::Latency(LATENCY));
            upstream.serve(&format!("{folder}/{name}"), late.content_type(content_type(name)));
        }
        url
    }
}

/// What [`media::recording`] calls its file.
const RECORDING: &str = "recording.mp4";

fn make() -> Result<Materials> {
    let directory = Directory::create("materials-")?;
    let segments = directory.path().join("segments");
    std::fs::create_dir(&segments).map_err(io("make a directory"))?;
    let recording = media::recording(directory.path(), RECORDING_SECONDS, true);
    let file = enlarged(&recording);
    let options = HlsOptions {
        seconds: RECORDING_SECONDS,
        segment_seconds: RECORDING_SECONDS / SEGMENTS,
        ..HlsOptions::default()
    };
    let stream = Hls::make(&segments, &options);
    assert_eq!(stream.segments().len(), SEGMENTS as usize, "ffmpeg cut the stream otherwise");
    Ok(Materials { directory, file: Resource::new(file), stream })
}

/// The recording with a box behind it that every player leaves out (ISO/IEC 14496-12, 8.1.2), so that the whole has
/// [`FILE_BYTES`].
fn enlarged(recording: &[u8]) -> Bytes {
    let room = FILE_BYTES - recording.len();
    let mut file = Vec::with_capacity(FILE_BYTES);
    file.extend_from_slice(recording);
    file.extend_from_slice(&u32::try_from(room).expect("half a gigabyte").to_be_bytes());
    file.extend_from_slice(b"free");
    let pattern: Vec<u8> = (0..=u8::MAX).collect();
    while file.len() < FILE_BYTES {
        file.extend_from_slice(&pattern[..pattern.len().min(FILE_BYTES - file.len())]);
    }
    file.into()
}
