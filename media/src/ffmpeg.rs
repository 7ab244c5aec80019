//! What we ask of ffmpeg.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use super::child::{self, Finished};
use super::sound::{SAMPLE_RATE, SPEECH_BITS};
use super::{MediaError, Sound};

/// Formats that hold their media themselves, as ffmpeg names them. Playlists, concatenation lists, image sequences and
/// everything that opens other files or devices are not here.
pub(super) const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mp3,aac,ogg,flac,wav,w64,aiff,caf,amr,\
                                  mpegts,mpeg,avi,asf,flv";

/// Samples per second of what [`measure_sound`] counts: one channel of 16 bits at this rate.
const COUNT_RATE: u32 = 16_000;

/// Samples of less than a thousandth of the largest (-60 dB) are not heard: a muted microphone still makes some noise.
const AUDIBLE: u16 = 33;

/// A local file as ffmpeg's input or output; without `file:` a name such as `http:x` would be a protocol.
pub(super) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(std::path::absolute(path).as_deref().unwrap_or(path));
    url
}

/// Options that come before `-i`, for both tools.
pub(super) fn input(path: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS, "-i"].map(OsString::from).into();
    args.push(file_url(path));
    args
}

/// The same for a list of files in its own directory, which nobody but us may have written.
fn list_input(path: &Path) -> Vec<OsString> {
    let formats = format!("concat,{FORMATS}");
    let mut args: Vec<OsString> =
        ["-f", "concat", "-protocol_whitelist", "file,pipe", "-format_whitelist", &formats, "-i"]
            .map(OsString::from)
            .into();
    args.push(file_url(path));
    args
}

/// Writes the first audio stream as AAC of one and the same kind, so that the results can stand behind one another.
pub(super) async fn encode_alike(ffmpeg: &Path, source: &Path, target: &Path) -> Result<(), MediaError> {
    let mut output: Vec<&OsStr> =
        ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-c:a", "aac", "-b:a", "128k"]
            .map(OsStr::new)
            .into();
    output.extend(["-ar", "48000", "-ac", "2", "-f", "ipod", "-y"].map(OsStr::new));
    let target = file_url(target);
    output.push(&target);
    let (finished, ()) = run(ffmpeg, source, &output, |_| async { Ok(()) }).await?;
    decodable(&finished)
}

/// Puts the files of a list one behind another.
pub(super) async fn concatenate(ffmpeg: &Path, list: &Path, target: &Path) -> Result<(), MediaError> {
    let mut output: Vec<&OsStr> =
        ["-map", "0:a:0", "-c:a", "copy", "-movflags", "+faststart", "-f", "ipod", "-y"]
            .map(OsStr::new)
            .into();
    let target = file_url(target);
    output.push(&target);
    let (finished, ()) = run_on(ffmpeg, list_input(list), &output, |_| async { Ok(()) }).await?;
    decodable(&finished)
}

pub(super) async fn extract_audio(
    ffmpeg: &Path,
    source: &Path,
    target: &Path,
    copy: bool,
) -> Result<(), MediaError> {
    let codec: &[&str] = if copy { &["-c:a", "copy"] } else { &["-c:a", "aac", "-b:a", "96k"] };
    let mut output: Vec<&OsStr> =
        ["-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1"].map(OsStr::new).into();
    output.extend(codec.iter().map(OsStr::new));
    output.extend(["-movflags", "+faststart", "-f", "ipod", "-y"].map(OsStr::new));
    let target = file_url(target);
    output.push(&target);
    let (finished, ()) = run(ffmpeg, source, &output, |_| async { Ok(()) }).await?;
    decodable(&finished)
}

/// At most `seconds` of sound: one wrong time stamp makes hours of silence out of a file of some kilobytes. All channels are mixed,
/// unless one is asked for.
pub(super) async fn decode_pcm(
    ffmpeg: &Path,
    file: &Path,
    target: &Path,
    channel: Option<usize>,
    seconds: u64,
) -> Result<(), MediaError> {
    let filter = match channel {
        None => "aresample=async=1:first_pts=0".to_owned(),
        Some(channel) => format!("pan=mono|c0=c{channel},aresample=async=1:first_pts=0"),
    };
    let (rate, seconds, target) = (SAMPLE_RATE.to_string(), seconds.to_string(), file_url(target));
    let mut output: Vec<&OsStr> = ["-map", "0:a:0", "-vn", "-sn", "-dn", "-af"].map(OsStr::new).into();
    output.extend([&filter, "-ac", "1", "-ar", &rate].map(OsStr::new));
    output.extend(["-t", &seconds, "-c:a", "pcm_f32le", "-f", "f32le", "-y"].map(OsStr::new));
    output.push(&target);
    let (finished, ()) = run(ffmpeg, file, &output, |_| async { Ok(()) }).await?;
    decodable(&finished)
}

/// Has the two channels of at most so many seconds read, samples of 16 bits side by side, [`SAMPLE_RATE`] of them per second.
pub(super) async fn two_channels<T, Reading>(
    ffmpeg: &Path,
    file: &Path,
    seconds: u64,
    read: impl FnOnce(ChildStdout) -> Reading,
) -> Result<T, MediaError>
where
    Reading: Future<Output = std::io::Result<T>>,
{
    let (rate, seconds) = (SAMPLE_RATE.to_string(), seconds.to_string());
    let mut output: Vec<&OsStr> =
        ["-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "2", "-ar"].map(OsStr::new).into();
    output.extend([&rate, "-t", &seconds, "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"].map(OsStr::new));
    let (finished, value) = run(ffmpeg, file, &output, read).await?;
    decodable(&finished)?;
    Ok(value)
}

pub(super) async fn encode_speech(ffmpeg: &Path, file: &Path, target: &Path) -> Result<(), MediaError> {
    let (bits, target) = (SPEECH_BITS.to_string(), file_url(target));
    let mut output: Vec<&OsStr> =
        ["-map", "0:a:0", "-map_metadata", "-1", "-c:a", "aac", "-b:a"].map(OsStr::new).into();
    output.extend([&bits, "-movflags", "+faststart", "-f", "ipod", "-y"].map(OsStr::new));
    output.push(&target);
    let (finished, ()) = run(ffmpeg, file, &output, |_| async { Ok(()) }).await?;
    decodable(&finished)
}

pub(super) async fn measure_sound(ffmpeg: &Path, file: &Path) -> Result<Sound, MediaError> {
    let rate = COUNT_RATE.to_string();
    let mut output: Vec<&OsStr> =
        ["-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "1", "-ar"].map(OsStr::new).into();
    output.extend([&rate, "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"].map(OsStr::new));
    let (finished, counted) = run(ffmpeg, file, &output, count).await?;
    decodable(&finished)?;
    // 2^53 samples at 16 kHz are 17,000 years.
    #[expect(clippy::cast_precision_loss, reason = "exact far beyond any recording")]
    let (samples, audible) = (counted.samples as f64, counted.audible as f64);
    let audible_share = if samples > 0.0 { audible / samples } else { 0.0 };
    Ok(Sound { seconds: samples / f64::from(COUNT_RATE), audible_share })
}

async fn run<T, Reading>(
    ffmpeg: &Path,
    source: &Path,
    output: &[&OsStr],
    stdout: impl FnOnce(ChildStdout) -> Reading,
) -> Result<(Finished, T), MediaError>
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
) -> Result<(Finished, T), MediaError>
where
    Reading: Future<Output = std::io::Result<T>>,
{
    let mut args: Vec<OsString> =
        ["-nostdin", "-hide_banner", "-loglevel", "error", "-nostats"].map(OsString::from).into();
    args.extend(input);
    args.extend(output.iter().map(OsString::from));
    child::run("ffmpeg", ffmpeg, &args, stdout).await
}

#[derive(Default)]
struct Counted {
    samples: u64,
    audible: u64,
}

async fn count(mut stdout: ChildStdout) -> std::io::Result<Counted> {
    let mut buffer = vec![0; 256 * 1024];
    let (mut counted, mut held) = (Counted::default(), 0);
    loop {
        let read = stdout.read(&mut buffer[held..]).await?;
        if read == 0 {
            return Ok(counted);
        }
        let (samples, rest) = buffer[..held + read].as_chunks::<2>();
        counted.samples += samples.len() as u64;
        counted.audible +=
            samples.iter().filter(|bytes| i16::from_le_bytes(**bytes).unsigned_abs() >= AUDIBLE).count()
                as u64;
        // Half a sample waits for its other half.
        held = rest.len();
        if let [byte] = *rest {
            buffer[0] = byte;
        }
    }
}

fn decodable(finished: &Finished) -> Result<(), MediaError> {
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
        decode_pcm(Path::new("ffmpeg"), &source, &target, None, 10).await.unwrap();
        let second = u64::from(SAMPLE_RATE) * 4;
        assert_eq!(std::fs::metadata(&target).unwrap().len(), 10 * second);
    }
}
