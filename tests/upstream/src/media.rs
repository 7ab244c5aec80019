//! Recordings made by ffmpeg, whose every second can be told from the others by ear.

use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;

/// Samples per second of what is made and of what is listened to.
pub(crate) const SAMPLE_RATE: usize = 48_000;
/// The samples of a second that are listened to. At its ends an encoder blends neighbours.
const HEARD: Range<usize> = SAMPLE_RATE / 10..SAMPLE_RATE - SAMPLE_RATE / 10;
/// So many seconds have a tone of their own; then they begin again.
const TONES: u32 = 100;

/// The tone of a second of a recording, in hertz.
#[must_use]
pub fn tone(second: u32) -> u32 {
    300 + 20 * (second % TONES)
}

/// An MPEG-4 file with `seconds` of sound, and a picture if wanted. Panopto's podcasts are such files, some of them under
/// a name that ends in `.panobf1`.
///
/// # Panics
/// Where ffmpeg is missing or fails.
#[must_use]
pub fn recording(directory: &Path, seconds: u32, video: bool) -> Bytes {
    let file = directory.join("recording.mp4");
    let mut args = Arguments::default();
    args.input(None).sound_and_picture(f64::from(seconds), video, seconds);
    args.add(["-movflags", "+faststart"]).add([&file]).run();
    std::fs::read(&file).expect("what ffmpeg has written").into()
}

/// Which seconds of a [`recording`] or an [`Hls`](crate::hls::Hls) are heard in a file, in their order, from second 0 on: a
/// hole, a segment at the wrong place, or silence (`None`) shows. The last one counts if nine tenths of it are there. From
/// 100 on they begin again at 0.
///
/// # Panics
/// Where ffmpeg is missing or cannot decode the file.
#[must_use]
pub fn seconds_heard(file: &Path) -> Vec<Option<u32>> {
    let mut args = Arguments::default();
    let rate = SAMPLE_RATE.to_string();
    let sound = args.add(["-i"]).add([file]).add(["-ac", "1", "-ar", &rate, "-f", "s16le", "-"]).run();
    let samples: Vec<i16> =
        sound.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    samples.chunks(SAMPLE_RATE).filter(|second| second.len() >= HEARD.end).map(second_heard).collect()
}

/// The second whose tone this is.
fn second_heard(samples: &[i16]) -> Option<u32> {
    let middle = &samples[HEARD];
    let loud = middle.iter().filter(|sample| sample.unsigned_abs() > 1000).count();
    if loud < middle.len() / 2 {
        return None;
    }
    let crossings = middle.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    // Two crossings a period, in 0.8 s.
    let heard = u32::try_from(crossings * 10 / 16).ok()?;
    (0..TONES)
        .min_by_key(|second| tone(*second).abs_diff(heard))
        .filter(|second| tone(*second).abs_diff(heard) < 10)
}

/// A command line of ffmpeg.
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

    /// Sound from a file, or a tone that changes with each second.
    pub(crate) fn input(&mut self, source: Option<&Path>) -> &mut Self {
        let changing = format!("300+20*mod(floor(t),{TONES})");
        match source {
            Some(file) => self.add(["-i"]).add([file]),
            None => self.add([
                "-f",
                "lavfi",
                "-i",
                &format!("aevalsrc='0.4*sin(2*PI*({changing})*t)':s={SAMPLE_RATE}"),
            ]),
        }
    }

    /// How the sound is encoded, and a picture beside it that can be cut every `key_seconds`.
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

    /// Runs ffmpeg and returns what it printed.
    pub(crate) fn run(&mut self) -> Vec<u8> {
        let done = self.0.output().unwrap_or_else(|error| {
            panic!("ffmpeg cannot be started ({error}); script/setup says how to install it: apt-get install ffmpeg")
        });
        assert!(done.status.success(), "{:?}: {}", self.0, String::from_utf8_lossy(&done.stderr));
        done.stdout
    }
}
