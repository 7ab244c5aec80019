//! Recordings that ffmpeg generates. Each second has its own tone, so a test can identify it.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;

/// Samples per second of generated and of decoded sound.
pub(crate) const SAMPLE_RATE: usize = 48_000;
/// The samples of a second that are measured. At its ends an encoder blends neighbours.
const MEASURED: Range<usize> = SAMPLE_RATE / 10..SAMPLE_RATE - SAMPLE_RATE / 10;
/// Number of distinct tones. After that many seconds they repeat.
const TONES: u32 = 100;

/// The tone of second 0, in hertz.
const FIRST_TONE: u32 = 300;
/// Distance between the tones of two seconds, in hertz.
const STEP: u32 = 20;

/// The tone of a second of a recording, in hertz.
#[must_use]
pub fn tone(second: u32) -> u32 {
    FIRST_TONE + STEP * (second % TONES)
}

/// An MPEG-4 file with `seconds` of sound, and a picture if `video`. Panopto's podcasts are such files, some
/// with a name that ends in `.panobf1`.
///
/// # Panics
/// If ffmpeg is missing or fails.
#[must_use]
pub fn recording(directory: &Path, seconds: u32, video: bool) -> Bytes {
    let file = directory.join("recording.mp4");
    let mut args = Arguments::default();
    args.input(None).sound_and_picture(f64::from(seconds), video, seconds);
    args.add(["-movflags", "+faststart"]).add([&file]).run();
    std::fs::read(&file).expect("the output of ffmpeg").into()
}

/// Identifies each second of a file by its tone: the number of the second in the [`recording`] or
/// [`Hls`](crate::hls::Hls) that it came from, or `None` for silence. So holes and misplaced segments show.
/// The last second counts if nine tenths of it exist. Numbers repeat from 0 after 99.
///
/// # Panics
/// If ffmpeg is missing or cannot decode the file.
#[must_use]
pub fn identify_seconds(file: &Path) -> Vec<Option<u32>> {
    let mut args = Arguments::default();
    let rate = SAMPLE_RATE.to_string();
    let sound = args.add(["-i"]).add([file]).add(["-ac", "1", "-ar", &rate, "-f", "s16le", "-"]).run();
    let samples: Vec<i16> =
        sound.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    samples.chunks(SAMPLE_RATE).filter(|second| second.len() >= MEASURED.end).map(identify_second).collect()
}

/// The second with this tone.
fn identify_second(samples: &[i16]) -> Option<u32> {
    let middle = &samples[MEASURED];
    let loud = middle.iter().filter(|sample| sample.unsigned_abs() > 1000).count();
    if loud < middle.len() / 2 {
        return None;
    }
    let crossings = middle.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    // Two crossings per period, in 0.8 s.
    let hertz = u32::try_from(crossings * 10 / 16).ok()?;
    (0..TONES)
        .min_by_key(|second| tone(*second).abs_diff(hertz))
        .filter(|second| tone(*second).abs_diff(hertz) < STEP / 2)
}

/// An ffmpeg command line.
#[derive(Debug)]
pub(crate) struct Arguments(Command);

impl Default for Arguments {
    fn default() -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]);
        Self(command)
    }
}

impl Arguments {
    pub(crate) fn add<T: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = T>) -> &mut Self {
        self.0.args(arguments);
        self
    }

    /// Sound from a file, or a tone that changes every second.
    pub(crate) fn input(&mut self, source: Option<&Path>) -> &mut Self {
        let frequency = format!("{FIRST_TONE}+{STEP}*mod(floor(t),{TONES})");
        match source {
            Some(file) => self.add(["-i"]).add([file]),
            None => self.add([
                "-f",
                "lavfi",
                "-i",
                &format!("aevalsrc='0.4*sin(2*PI*({frequency})*t)':s={SAMPLE_RATE}"),
            ]),
        }
    }

    /// Encodes the sound and, if `video`, a picture with a key frame every `key_seconds`.
    pub(crate) fn sound_and_picture(&mut self, seconds: f64, video: bool, key_seconds: u32) -> &mut Self {
        if video {
            self.add(["-f", "lavfi", "-i", "testsrc=size=160x90:rate=5", "-map", "0:a:0", "-map", "1:v:0"]);
            self.add(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-shortest"]);
            self.add(["-force_key_frames", &format!("expr:gte(t,n_forced*{key_seconds})")]);
        } else {
            self.add(["-map", "0:a:0"]);
        }
        self.add([
            "-c:a",
            "aac",
            "-b:a",
            "64k",
            "-ac",
            "1",
            "-ar",
            &SAMPLE_RATE.to_string(),
            "-t",
            &seconds.to_string(),
        ])
    }

    /// Runs ffmpeg and returns its output.
    pub(crate) fn run(&mut self) -> Vec<u8> {
        let done = self.0.output().unwrap_or_else(|error| {
            panic!("cannot start ffmpeg ({error}); install it as script/setup says: apt-get install ffmpeg")
        });
        assert!(done.status.success(), "{:?}: {}", self.0, String::from_utf8_lossy(&done.stderr));
        done.stdout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a sample of a sine")]
    fn sine(hertz: f64, amplitude: f64) -> Vec<i16> {
        let sample =
            |n| (amplitude * (std::f64::consts::TAU * hertz * n as f64 / SAMPLE_RATE as f64).sin()) as i16;
        (0..SAMPLE_RATE).map(sample).collect()
    }

    #[test]
    fn a_tone_is_identified_but_silence_a_quiet_tone_and_an_unknown_tone_are_not() {
        for second in [0, 1, 57, 99] {
            assert_eq!(identify_second(&sine(f64::from(tone(second)), 10_000.0)), Some(second));
        }
        assert_eq!(identify_second(&sine(f64::from(tone(7)), 0.0)), None);
        assert_eq!(identify_second(&sine(f64::from(tone(7)), 900.0)), None);
        assert_eq!(identify_second(&sine(100.0, 10_000.0)), None);
    }
}
