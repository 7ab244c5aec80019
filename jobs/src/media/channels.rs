//! Which channel of a recording with two is worth hearing.
//!
//! Some capture cards record a voice on one channel and noise on the other. Mixed into one, as everything else is, a recognizer hears
//! little of it (measured by others: an average log probability of -4 instead of -0.1).

use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use super::{MediaError, ffmpeg};

/// Samples per second of what is judged, and those that are judged together: 20 ms.
pub(super) const RATE: u32 = 16_000;
const FRAME: usize = RATE as usize / 50;

/// Times the power of its quiet places that the loud places of noise have at most (3 dB), and those of speech at least (9 dB).
const NOISE: f32 = 2.0;
const SPEECH: f32 = 8.0;

/// Below this power (-60 dB) a channel is silent, and mixing it in does no harm.
const SILENT: f32 = 1e-6;

/// How a channel goes up and down.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Dynamics {
    quiet: f32,
    loud: f32,
}

impl Dynamics {
    fn of(mut power: Vec<f32>) -> Self {
        power.sort_unstable_by(f32::total_cmp);
        let share = |tenths: usize| power.get(power.len() * tenths / 10).copied().unwrap_or_default();
        Self { quiet: share(1), loud: share(9) }
    }

    fn is_noise(self) -> bool {
        self.quiet > SILENT && self.loud < self.quiet * NOISE
    }

    fn is_speech(self) -> bool {
        self.loud > SILENT && self.loud >= self.quiet * SPEECH
    }
}

/// The one of two channels that somebody speaks in while the other is noise. `file` has two.
pub(super) async fn worth_hearing(ffmpeg: &Path, file: &Path) -> Result<Option<usize>, MediaError> {
    let [left, right] = ffmpeg::two_channels(ffmpeg, file, powers).await?.map(Dynamics::of);
    Ok(match () {
        () if left.is_speech() && right.is_noise() => Some(0),
        () if right.is_speech() && left.is_noise() => Some(1),
        () => None,
    })
}

/// The power of each channel's frames.
async fn powers(mut stdout: ChildStdout) -> std::io::Result<[Vec<f32>; 2]> {
    let mut powers = [Vec::new(), Vec::new()];
    let mut frame = vec![0; FRAME * 4];
    loop {
        let mut held = 0;
        while held < frame.len() {
            match stdout.read(&mut frame[held..]).await? {
                0 => return Ok(powers),
                read => held += read,
            }
        }
        let mut sums = [0.0_f32; 2];
        for sample in frame.as_chunks::<4>().0 {
            for (channel, sum) in sums.iter_mut().enumerate() {
                let value = i16::from_le_bytes([sample[2 * channel], sample[2 * channel + 1]]);
                *sum += (f32::from(value) / 32768.0).powi(2);
            }
        }
        for (power, sum) in powers.iter_mut().zip(sums) {
            power.push(sum / FRAME as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_even_and_speech_is_not() {
        let of = |quiet: f32, loud: f32| Dynamics::of([vec![quiet; 50], vec![loud; 50]].concat());
        assert!(of(0.01, 0.013).is_noise() && !of(0.01, 0.013).is_speech());
        assert!(of(1e-5, 0.01).is_speech() && !of(1e-5, 0.01).is_noise());
        for neither in [of(0.0, 0.0), of(1e-8, 1.1e-8), of(0.01, 0.04), Dynamics::of(Vec::new())] {
            assert!(!neither.is_noise() && !neither.is_speech(), "{neither:?}");
        }
    }
}
