//! Which channel of a recording with two is worth hearing.
//!
//! Some capture cards record a voice on one channel and noise on the other. Mixed into one, as everything else is, a recognizer hears
//! little of it (measured by others: an average log probability of -4 instead of -0.1).

use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use super::sound::SAMPLE_RATE;
use super::{MediaError, ffmpeg};

/// Samples that are judged together: 20 ms.
const FRAME: usize = SAMPLE_RATE as usize / 50;

/// Times the power of its quiet places that the loudest of noise have at most (3 dB), and many of speech at least (9 dB).
const NOISE: f32 = 2.0;
const SPEECH: f32 = 8.0;

/// Noise that has less than this share of the speech's power (-30 dB) does no harm when it is mixed in.
const HARMLESS: f32 = 1e-3;

/// How a channel goes up and down.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Dynamics {
    /// Power that a tenth of the frames do not have.
    quiet: f32,
    /// Power that a tenth of the frames have.
    loud: f32,
    /// Power that one of a thousand has: somebody who seldom speaks is no noise.
    loudest: f32,
}

impl Dynamics {
    fn of(mut power: Vec<f32>) -> Self {
        power.sort_unstable_by(f32::total_cmp);
        let share =
            |thousandths: usize| power.get(power.len() * thousandths / 1000).copied().unwrap_or_default();
        Self { quiet: share(100), loud: share(900), loudest: share(999) }
    }

    /// Noise beside this speech.
    fn spoils(self, speech: Self) -> bool {
        let is_speech = speech.loud > 0.0 && speech.loud >= speech.quiet * SPEECH;
        is_speech && self.quiet > speech.loud * HARMLESS && self.loudest < self.quiet * NOISE
    }
}

/// The one of two channels that somebody speaks in while the other is noise. `file` has two.
pub(super) async fn worth_hearing(
    ffmpeg: &Path,
    file: &Path,
    seconds: u64,
) -> Result<Option<usize>, MediaError> {
    let [left, right] = ffmpeg::two_channels(ffmpeg, file, seconds, powers).await?.map(Dynamics::of);
    Ok(match () {
        () if right.spoils(left) => Some(0),
        () if left.spoils(right) => Some(1),
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
    fn noise_is_even_and_loud_and_speech_is_neither() {
        let of = |quiet: f32, loud: f32| Dynamics::of([vec![quiet; 500], vec![loud; 500]].concat());
        let (noise, speech) = (of(0.01, 0.013), of(1e-5, 0.01));
        assert!(noise.spoils(speech));
        assert!(!speech.spoils(noise) && !speech.spoils(speech) && !noise.spoils(noise));
        // Silence, hiss that nobody hears, and hiss in which somebody asks something now and then.
        let seldom = Dynamics::of([vec![0.01; 980], vec![0.05; 20]].concat());
        for harmless in [of(0.0, 0.0), of(1e-6, 1.1e-6), seldom, Dynamics::of(Vec::new())] {
            assert!(!harmless.spoils(speech) && !noise.spoils(harmless), "{harmless:?}");
        }
    }
}
