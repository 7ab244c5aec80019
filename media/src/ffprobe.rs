//! The command line of ffprobe, and its report.

use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use crate::error::MediaError;
use crate::{child, ffmpeg};

/// ffprobe's warning about lengths that no header states. Only its log says so.
const ESTIMATE: &str = "Estimating duration from bitrate";

/// Largest report that is read, in bytes: a file may name thousands of streams.
const MAX_REPORT: u64 = 4 * 1024 * 1024;

/// What a container says about its streams.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeReport {
    /// Length of the container in seconds, if stated.
    pub container_seconds: Option<f64>,
    /// Time stamp of the first packet of any stream, in seconds.
    pub first_seconds: f64,
    /// Time stamp where a player's clock shows 0, in seconds.
    pub zero_seconds: f64,
    /// True for MPEG-4 and its relatives.
    pub is_mpeg4: bool,
    /// The audio streams, in the container's order.
    pub audio: Vec<AudioStream>,
    /// True if there is a moving picture. A cover image does not count.
    pub has_video: bool,
    /// True if the lengths are the file's size divided by the bit rate of its first frames: MP3 without a header, ADTS, AMR. With a
    /// varying bit rate they may be ten times too long or too short.
    pub is_estimated: bool,
}

impl ProbeReport {
    /// Length in seconds that the container announces for its sound: that of the audio stream. The container's own length is
    /// its longest stream's and includes the silence before a late sound, so it counts only where the stream has none and no
    /// picture can outlast the sound. An estimate announces nothing.
    #[must_use]
    pub fn announced_seconds(&self) -> Option<f64> {
        self.announced_seconds_of(0)
    }

    /// Like [`ProbeReport::announced_seconds`], for another audio stream.
    pub(super) fn announced_seconds_of(&self, track: usize) -> Option<f64> {
        if self.is_estimated {
            return None;
        }
        let container = || self.container_seconds.filter(|_| !self.has_video);
        self.audio.get(track)?.seconds.or_else(container)
    }
}

/// One audio stream.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioStream {
    /// ffmpeg's name of the codec, such as `aac`.
    pub codec: String,
    /// Number of channels.
    pub channels: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Length in seconds, if the container states it for this stream.
    pub seconds: Option<f64>,
    /// Seconds from the container's beginning to the first sample.
    pub start_seconds: f64,
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Deserialize, Default)]
struct Format {
    format_name: Option<String>,
    duration: Option<String>,
    start_time: Option<String>,
}

impl Format {
    /// MPEG-4 and Matroska count from 0, and a late start is silence. The other containers count from any
    /// number. So do fragmented recordings of a live stream, whose first time stamp lies behind their length.
    fn zero_seconds(&self) -> f64 {
        let name = self.format_name.as_deref().unwrap_or_default();
        let first = seconds(self.start_time.as_deref()).unwrap_or(0.0);
        let length = length(self.duration.as_deref()).unwrap_or(0.0);
        let counts_from_zero = name.contains("mp4") || name.contains("matroska");
        if counts_from_zero && (0.0..length).contains(&first) { 0.0 } else { first }
    }
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    channels: Option<u32>,
    sample_rate: Option<String>,
    start_time: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Deserialize, Default)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

pub(super) async fn probe(ffprobe: &Path, file: &Path) -> Result<ProbeReport, MediaError> {
    if tokio::fs::metadata(file).await.is_err() {
        return Err(MediaError::SourceMissing);
    }
    let mut args: Vec<OsString> =
        ["-hide_banner", "-loglevel", "warning", "-show_format", "-show_streams", "-of", "json"]
            .map(OsString::from)
            .into();
    args.extend(ffmpeg::input(file));
    let (finished, json) = child::run("ffprobe", ffprobe, &args, read_report).await?;
    let not_media = |detail: String| MediaError::NotMedia { detail };
    if !finished.status.success() {
        return Err(not_media(finished.stderr));
    }
    let report: Report = serde_json::from_slice(&json)
        .map_err(|error| not_media(format!("ffprobe's report is unreadable ({error})")))?;
    Ok(ProbeReport { is_estimated: finished.stderr.contains(ESTIMATE), ..report.into() })
}

async fn read_report(stdout: ChildStdout) -> std::io::Result<Vec<u8>> {
    let mut json = Vec::new();
    let mut limited = stdout.take(MAX_REPORT);
    limited.read_to_end(&mut json).await?;
    // Drain the rest, or the tool blocks on a full pipe.
    tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await?;
    Ok(json)
}

/// Streams that start together later than this, in seconds, are cut from a longer recording, such as a live one.
const TOGETHER_SECONDS: f64 = 1.0;

impl From<Report> for ProbeReport {
    fn from(report: Report) -> Self {
        let kind = |stream: &Stream, kind| stream.codec_type.as_deref() == Some(kind);
        let begin = seconds(report.format.start_time.as_deref()).unwrap_or(0.0);
        let is_mpeg4 = report.format.format_name.as_deref().is_some_and(|name| name.contains("mp4"));
        let is_picture = |stream: &&Stream| kind(stream, "video") && stream.disposition.attached_pic == 0;
        let has_video = report.streams.iter().any(|stream| is_picture(&stream));
        let starts_with_begin = |stream: &Stream| {
            seconds(stream.start_time.as_deref()).is_none_or(|start| start - begin < TOGETHER_SECONDS)
        };
        let mut played = report.streams.iter().filter(|stream| is_picture(stream) || kind(stream, "audio"));
        let zero_seconds = match has_video && begin > TOGETHER_SECONDS && played.all(starts_with_begin) {
            true => begin,
            false => report.format.zero_seconds(),
        };
        let audio = report.streams.into_iter().filter(|stream| kind(stream, "audio"));
        let audio = audio.map(|stream| AudioStream {
            codec: stream.codec_name.unwrap_or_else(|| "unknown".to_owned()),
            channels: stream.channels.unwrap_or(0),
            sample_rate: stream.sample_rate.and_then(|rate| rate.parse().ok()).unwrap_or(0),
            seconds: length(stream.duration.as_deref()),
            start_seconds: (seconds(stream.start_time.as_deref()).unwrap_or(begin) - begin).max(0.0),
        });
        let container_seconds = length(report.format.duration.as_deref());
        let audio = audio.collect();
        Self {
            container_seconds,
            first_seconds: begin,
            zero_seconds,
            is_mpeg4,
            audio,
            has_video,
            is_estimated: false,
        }
    }
}

fn seconds(text: Option<&str>) -> Option<f64> {
    text?.parse().ok().filter(|seconds: &f64| seconds.is_finite())
}

fn length(text: Option<&str>) -> Option<f64> {
    seconds(text).filter(|seconds| *seconds > 0.0)
}
