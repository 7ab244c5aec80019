//! The command lines of ffmpeg.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use crate::child::{self, ToolOutput};
use crate::error::MediaError;
use crate::listening;
use crate::sound::{SAMPLE_RATE, SPEECH_BITS};

/// Formats that contain their own media, by ffmpeg's names. Playlists, concatenation lists, image sequences
/// and everything else that opens other files or devices stay out.
pub(super) const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mp3,aac,ogg,flac,wav,w64,aiff,caf,amr,\
                                  mpegts,mpeg,avi,asf,flv";

/// How far both tools look for streams, in bytes and in microseconds of the recording. A microphone may be
/// switched on minutes after the camera, and a transport stream does not describe its sound before that.
const PROBE_BYTES: &str = "134217728";
const PROBE_MICROSECONDS: &str = "1800000000";

/// Least amplitude of an audible sample: a thousandth of the largest (-60 dB). A muted microphone still makes
/// some noise.
const AUDIBLE: u16 = 33;

/// Bits per second and channel of encoded recordings.
const BITS_PER_CHANNEL: u32 = 48_000;

/// A recording with a smaller audible share is silent: a click or two in an hour are no lecture.
const MIN_AUDIBLE_SHARE: f64 = 0.00001;

/// What decoding a whole file found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoundStats {
    /// Seconds, counted sample by sample. A hole does not count, whatever the time stamps around it say.
    pub seconds: f64,
    /// Share of the samples, 0 to 1, that are louder than -60 dB, on the channel with most of them.
    pub audible_share: f64,
}

impl SoundStats {
    /// True if nothing in it is audible, but for a click or two.
    #[must_use]
    pub fn is_silent(self) -> bool {
        self.audible_share < MIN_AUDIBLE_SHARE
    }
}

/// A local file as ffmpeg's input or output. Without `file:`, a name such as `http:x` would be a protocol.
pub(super) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(std::path::absolute(path).as_deref().unwrap_or(path));
    url
}

/// The input options of both tools.
pub(super) fn input(path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS, "-probesize", PROBE_BYTES]
            .map(OsString::from)
            .into();
    args.extend(["-analyzeduration", PROBE_MICROSECONDS, "-i"].map(OsString::from));
    args.push(file_url(path));
    args
}

/// Input options for a concatenation list. The list must be ours: it can name any file in its directory.
fn concat_input(path: &Path) -> Vec<OsString> {
    let formats = format!("concat,{FORMATS}");
    let mut args: Vec<OsString> =
        ["-f", "concat", "-protocol_whitelist", "file,pipe", "-format_whitelist", &formats, "-i"]
            .map(OsString::from)
            .into();
    args.push(file_url(path));
    args
}

/// How [`encode`] writes sound.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    /// AAC of this many channels in an MPEG-4 container.
    Aac(u32),
    /// FLAC, which keeps the exact number of samples: a part of what [`concatenate`] joins.
    Flac,
}

impl Encoding {
    fn output(self) -> Vec<OsString> {
        let args = |args: &[&str]| args.iter().map(OsString::from).collect();
        match self {
            Self::Aac(channels) => {
                let bits = (BITS_PER_CHANNEL * channels.max(2)).to_string();
                args(&["-c:a", "aac", "-b:a", &bits, "-movflags", "+faststart", "-f", "ipod", "-y"])
            }
            Self::Flac => args(&["-c:a", "flac", "-compression_level", "0", "-f", "flac", "-y"]),
        }
    }
}

/// Copies the AAC of an audio track into an MPEG-4 container.
pub(super) async fn copy_aac(
    ffmpeg: &Path,
    source: &Path,
    track: usize,
    target: &Path,
) -> Result<(), MediaError> {
    let (map, target) = (format!("0:a:{track}"), file_url(target));
    let mut output: Vec<&OsStr> =
        ["-map", &map, "-vn", "-sn", "-dn", "-map_metadata", "-1", "-c:a", "copy"].map(OsStr::new).into();
    output.extend(["-movflags", "+faststart", "-f", "ipod", "-y"].map(OsStr::new));
    output.push(&target);
    let (finished, ()) = run(ffmpeg, source, &output, |_| async { Ok(()) }).await?;
    check_decoded(&finished)
}

/// What [`encode`] does with decoded sound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filters {
    /// ffmpeg's chain of filters.
    pub(super) chain: String,
    /// Decodes also what the demuxer marks as hidden, as it does with packets whose time stamps go back.
    pub(super) keep_all: bool,
}

/// Encodes an audio track through `filters`, which see the file's own time stamps.
pub(super) async fn encode(
    ffmpeg: &Path,
    source: &Path,
    track: usize,
    filters: &Filters,
    encoding: Encoding,
    target: &Path,
) -> Result<(), MediaError> {
    if tokio::fs::metadata(source).await.is_err() {
        return Err(MediaError::SourceMissing);
    }
    // ffmpeg would move the first time stamp to 0 and close jumps of transport streams by itself.
    let mut args = vec![OsString::from("-copyts")];
    if filters.keep_all {
        args.extend(["-flags2", "+skip_manual"].map(OsString::from));
    }
    args.extend(input(source));
    let map = format!("0:a:{track}");
    args.extend(
        ["-map", &map, "-vn", "-sn", "-dn", "-map_metadata", "-1", "-af", &filters.chain].map(OsString::from),
    );
    args.extend(encoding.output());
    args.push(file_url(target));
    let (finished, ()) = run_on(ffmpeg, args, &[], |_| async { Ok(()) }).await?;
    check_decoded(&finished)
}

/// Joins the files of a list, in order, and encodes them.
pub(super) async fn concatenate(
    ffmpeg: &Path,
    list: &Path,
    encoding: Encoding,
    target: &Path,
) -> Result<(), MediaError> {
    let mut args = concat_input(list);
    args.extend(["-map", "0:a:0", "-af", "asetpts=N/SR/TB"].map(OsString::from));
    args.extend(encoding.output());
    args.push(file_url(target));
    let (finished, ()) = run_on(ffmpeg, args, &[], |_| async { Ok(()) }).await?;
    check_decoded(&finished)
}

/// Decodes at most `seconds` of an audio track: one wrong time stamp turns a file of some kilobytes into hours
/// of silence. Mixes all channels, or those in `channels` if there are any.
pub(super) async fn decode_pcm(
    ffmpeg: &Path,
    file: &Path,
    target: &Path,
    (track, channels): (usize, &[usize]),
    seconds: u64,
) -> Result<(), MediaError> {
    let share = match channels.len() {
        0 | 1 => String::new(),
        more => format!("{}*", 1.0 / more as f64),
    };
    let taken: Vec<String> = channels.iter().map(|channel| format!("{share}c{channel}")).collect();
    let pan = if taken.is_empty() { String::new() } else { format!("pan=mono|c0={},", taken.join("+")) };
    let (filter, map) = (format!("{pan}aresample=async=1:first_pts=0"), format!("0:a:{track}"));
    let (rate, seconds, target) = (SAMPLE_RATE.to_string(), seconds.to_string(), file_url(target));
    let mut output: Vec<&OsStr> = ["-map", &map, "-vn", "-sn", "-dn", "-af"].map(OsStr::new).into();
    output.extend([&filter, "-ac", "1", "-ar", &rate].map(OsStr::new));
    output.extend(["-t", &seconds, "-c:a", "pcm_f32le", "-f", "f32le", "-y"].map(OsStr::new));
    output.push(&target);
    let (finished, ()) = run(ffmpeg, file, &output, |_| async { Ok(()) }).await?;
    check_decoded(&finished)
}

/// Streams all channels of an audio track, at most `seconds` of it, to `read`: Sun audio, whose header names the
/// number of channels, with samples of 16 bits, [`SAMPLE_RATE`] per second.
pub(super) async fn read_channels<T, Reading>(
    ffmpeg: &Path,
    file: &Path,
    track: usize,
    seconds: Option<u64>,
    read: impl FnOnce(ChildStdout) -> Reading,
) -> Result<T, MediaError>
where
    Reading: Future<Output = std::io::Result<T>>,
{
    let (map, rate) = (format!("0:a:{track}"), SAMPLE_RATE.to_string());
    let seconds = seconds.map(|seconds| seconds.to_string());
    let mut output: Vec<&OsStr> =
        ["-map", &map, "-vn", "-sn", "-dn", "-map_metadata", "-1", "-ar", &rate].map(OsStr::new).into();
    if let Some(seconds) = &seconds {
        output.extend(["-t", seconds].map(OsStr::new));
    }
    output.extend(["-c:a", "pcm_s16be", "-f", "au", "pipe:1"].map(OsStr::new));
    let (finished, value) = run(ffmpeg, file, &output, read).await?;
    check_decoded(&finished)?;
    Ok(value)
}

pub(super) async fn encode_speech(ffmpeg: &Path, file: &Path, target: &Path) -> Result<(), MediaError> {
    let (bits, target) = (SPEECH_BITS.to_string(), file_url(target));
    let mut output: Vec<&OsStr> =
        ["-map", "0:a:0", "-map_metadata", "-1", "-c:a", "aac", "-b:a"].map(OsStr::new).into();
    output.extend([&bits, "-movflags", "+faststart", "-f", "ipod", "-y"].map(OsStr::new));
    output.push(&target);
    let (finished, ()) = run(ffmpeg, file, &output, |_| async { Ok(()) }).await?;
    check_decoded(&finished)
}

pub(super) async fn measure_sound(
    ffmpeg: &Path,
    file: &Path,
    track: usize,
) -> Result<SoundStats, MediaError> {
    let counts = read_channels(ffmpeg, file, track, None, count_samples).await?;
    // 2^53 samples at 16 kHz are 17,000 years.
    #[expect(clippy::cast_precision_loss, reason = "exact for any recording")]
    let (samples, audible) = (counts.samples as f64, counts.audible as f64);
    let audible_share = if samples > 0.0 { audible / samples } else { 0.0 };
    Ok(SoundStats { seconds: samples / f64::from(SAMPLE_RATE), audible_share })
}

async fn run<T, Reading>(
    ffmpeg: &Path,
    source: &Path,
    output: &[&OsStr],
    stdout: impl FnOnce(ChildStdout) -> Reading,
) -> Result<(ToolOutput, T), MediaError>
where
    Reading: Future<Output = std::io::Result<T>>,
{
    if tokio::fs::metadata(source).await.is_err() {
        return Err(MediaError::SourceMissing);
    }
    run_on(ffmpeg, input(source), output, stdout).await
}

async fn run_on<T, Reading>(
    ffmpeg: &Path,
    input: Vec<OsString>,
    output: &[&OsStr],
    stdout: impl FnOnce(ChildStdout) -> Reading,
) -> Result<(ToolOutput, T), MediaError>
where
    Reading: Future<Output = std::io::Result<T>>,
{
    let mut args: Vec<OsString> =
        ["-nostdin", "-hide_banner", "-loglevel", "error", "-nostats"].map(OsString::from).into();
    args.extend(input);
    args.extend(output.iter().map(OsString::from));
    child::run("ffmpeg", ffmpeg, &args, stdout).await
}

/// Samples of a channel.
#[derive(Default)]
struct SampleCounts {
    samples: u64,
    audible: u64,
}

/// Counts on the channel with most audible samples. A mix can be silent where each channel is not.
async fn count_samples(mut stdout: ChildStdout) -> std::io::Result<SampleCounts> {
    let channels = listening::read_header(&mut stdout).await?;
    if channels == 0 {
        return Ok(SampleCounts::default());
    }
    let mut audible = vec![0; channels];
    let mut buffer = vec![0; 256 * 1024];
    // `samples` are those of all channels, which take turns.
    let (mut samples, mut filled) = (0, 0);
    loop {
        let read = stdout.read(&mut buffer[filled..]).await?;
        if read == 0 {
            let audible = audible.into_iter().max().unwrap_or_default();
            return Ok(SampleCounts { samples: samples / channels as u64, audible });
        }
        let (whole, rest) = buffer[..filled + read].as_chunks::<2>();
        for bytes in whole {
            if i16::from_be_bytes(*bytes).unsigned_abs() >= AUDIBLE {
                audible[(samples % channels as u64) as usize] += 1;
            }
            samples += 1;
        }
        // Keep half a sample until its other half arrives.
        filled = rest.len();
        if let [byte] = *rest {
            buffer[0] = byte;
        }
    }
}

fn check_decoded(finished: &ToolOutput) -> Result<(), MediaError> {
    if finished.status.success() {
        return Ok(());
    }
    Err(MediaError::NotMedia { detail: finished.stderr.clone() })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_wrong_time_stamp_does_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let (source, target) = (dir.path().join("gap.mka"), dir.path().join("sound.f32"));
        // Four seconds, the last two of them an hour later.
        let made = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-f", "lavfi", "-i", "sine=duration=4"])
            .args(["-af", "asetpts=PTS+gt(T\\,2)*3600/TB", "-c:a", "aac"])
            .arg(&source)
            .status()
            .unwrap();
        assert!(made.success());
        decode_pcm(Path::new("ffmpeg"), &source, &target, (0, &[]), 10).await.unwrap();
        let second = u64::from(SAMPLE_RATE) * 4;
        assert_eq!(std::fs::metadata(&target).unwrap().len(), 10 * second);
    }
}
