//! Picks the channel with the voice where the other one is noise.
//!
//! Some capture cards record a voice on one channel and noise on the other. Mixed into one, as everything
//! else is, a recognizer makes out little (measured by others: an average log probability of -4 instead of
//! -0.1).

use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;

use crate::error::MediaError;
use crate::ffmpeg;
use crate::levels::PowerLevels;
use crate::sound::FRAME_SAMPLES;

/// Most power of noise in its loudest places, as a multiple of its background: 3 dB.
const NOISE_RATIO: f32 = 2.0;

/// Noise below this share of the speech's power (-30 dB) does no harm in the mix.
const HARMLESS: f32 = 1e-3;

/// True if `noise` is noise loud enough to spoil `speech` in the mix. The loudest 0.1 % count, so a
/// rare speaker is no noise.
fn spoils(noise: PowerLevels, speech: PowerLevels) -> bool {
    speech.has_speech()
        && noise.background > speech.loud * HARMLESS
        && noise.loudest < noise.background * NOISE_RATIO
}

/// The index of the channel with speech if the other one is noise. `file` must have two channels.
pub(super) async fn speech_channel(
    ffmpeg: &Path,
    file: &Path,
    seconds: u64,
) -> Result<Option<usize>, MediaError> {
    let powers = ffmpeg::read_two_channels(ffmpeg, file, seconds, frame_powers).await?;
    let [left, right] = powers.map(PowerLevels::of);
    Ok(match () {
        () if spoils(right, left) => Some(0),
        () if spoils(left, right) => Some(1),
        () => None,
    })
}

/// The power of each channel's frames. A last frame that is not full is dropped.
async fn frame_powers(mut stdout: ChildStdout) -> std::io::Result<[Vec<f32>; 2]> {
    let mut powers = [Vec::new(), Vec::new()];
    let mut frame = vec![0; FRAME_SAMPLES * 4];
    loop {
        let mut filled = 0;
        while filled < frame.len() {
            match stdout.read(&mut frame[filled..]).await? {
                0 => return Ok(powers),
                read => filled += read,
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
            power.push(sum / FRAME_SAMPLES as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steady_loud_noise_spoils_speech() {
        let of = |quiet: f32, loud: f32| PowerLevels::of([vec![quiet; 500], vec![loud; 500]].concat());
        let (noise, speech) = (of(0.01, 0.013), of(1e-5, 0.01));
        assert!(spoils(noise, speech));
        assert!(!spoils(speech, noise) && !spoils(speech, speech) && !spoils(noise, noise));
        // Silence, inaudible hiss, and hiss with a question now and then.
        let questions = PowerLevels::of([vec![0.01; 980], vec![0.05; 20]].concat());
        for harmless in [of(0.0, 0.0), of(1e-6, 1.1e-6), questions, PowerLevels::of(Vec::new())] {
            assert!(!spoils(harmless, speech) && !spoils(noise, harmless), "{harmless:?}");
        }
    }
}
