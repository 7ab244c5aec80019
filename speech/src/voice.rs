//! Finds stretches of speech. Prefers to miss some: what it finds is transcribed again.
//!
//! Speech is loud and quiet by turns, and its loud places are voiced: they repeat at the rate of the vocal
//! cords, and that rate moves. Noise and applause do not repeat, hum and tones do not move, and steady sound
//! has no quiet places. A melody is taken for speech.

use std::ops::Range;

use bedel_media::levels::PowerLevels;
use bedel_media::sound::{FRAME_SAMPLES, SAMPLE_RATE};

/// Frames per second.
const FRAME_RATE: usize = SAMPLE_RATE as usize / FRAME_SAMPLES;

/// Frames that are judged together: three seconds, a short sentence.
const WINDOW_FRAMES: usize = 3 * FRAME_RATE;

/// Frames from one window to the next: half a second.
const STEP_FRAMES: usize = FRAME_RATE / 2;

/// Longest pause within a stretch of speech, in frames: five seconds.
const MAX_PAUSE_FRAMES: usize = 5 * FRAME_RATE;

/// Least power of the loud places of a window, as a share of the loudest of the recording's piece: -30 dB.
/// A conversation in the background is quieter.
const LEAST_SHARE: f32 = 1e-3;

/// Least power of the loud places of a window: -60 dB.
const LEAST_POWER: f32 = 1e-6;

/// Samples that are averaged into one before the pitch is measured, which leaves 4,000 a second.
const DECIMATION: usize = 4;

/// Samples compared with those one period earlier: 32 ms.
const COMPARED: usize = 128;

/// Periods of the voice in decimated samples: 400 to 70 Hz.
const PERIODS: Range<usize> = 10..57;

/// Least correlation of a voiced frame with itself one period earlier. White noise reaches a third.
const VOICED: f32 = 0.6;

/// Least share of voiced frames in a window.
const VOICED_SHARE: f32 = 0.15;

/// Least mean deviation of the period within a window, as a share of the period.
const MOVING_PITCH: f32 = 0.04;

/// Stretches of `range` of a piece with speech, in samples of the piece.
pub(super) fn spoken_stretches(piece: &[f32], range: Range<usize>) -> Vec<Range<usize>> {
    let loudest = PowerLevels::of(power(piece)).loudest;
    let samples = &piece[range.clone()];
    let (power, periods) = (power(samples), periods(samples));
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let starts = (0..power.len()).step_by(STEP_FRAMES);
    for start in starts.take_while(|start| start + WINDOW_FRAMES <= power.len()) {
        let window = start..start + WINDOW_FRAMES;
        if !is_speech(&power[window.clone()], &periods[window.clone()], loudest * LEAST_SHARE) {
            continue;
        }
        match stretches.last_mut().filter(|last| window.start <= last.end + MAX_PAUSE_FRAMES) {
            Some(last) => last.end = window.end,
            None => stretches.push(window),
        }
    }
    let sample = |frame: usize| (range.start + frame * FRAME_SAMPLES).min(range.end);
    stretches.into_iter().map(|stretch| sample(stretch.start)..sample(stretch.end)).collect()
}

fn power(samples: &[f32]) -> Vec<f32> {
    let mean = |frame: &[f32]| frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32;
    samples.chunks(FRAME_SAMPLES).map(mean).collect()
}

fn is_speech(power: &[f32], periods: &[Option<usize>], least: f32) -> bool {
    let levels = PowerLevels::of(power.to_vec());
    if !levels.has_speech() || levels.loud < least.max(LEAST_POWER) {
        return false;
    }
    let voiced: Vec<f32> = periods.iter().flatten().map(|period| *period as f32).collect();
    if (voiced.len() as f32) < VOICED_SHARE * periods.len() as f32 {
        return false;
    }
    let mean = voiced.iter().sum::<f32>() / voiced.len() as f32;
    let deviation = voiced.iter().map(|period| (period - mean).abs()).sum::<f32>() / voiced.len() as f32;
    deviation >= MOVING_PITCH * mean
}

/// The period of each voiced frame, in decimated samples.
fn periods(samples: &[f32]) -> Vec<Option<usize>> {
    let coarse: Vec<f32> =
        samples.chunks(DECIMATION).map(|few| few.iter().sum::<f32>() / few.len() as f32).collect();
    // The difference removes rumble, which resembles itself at any short distance.
    let sharp: Vec<f32> =
        std::iter::once(0.0).chain(coarse.windows(2).map(|pair| pair[1] - pair[0])).collect();
    let frames = samples.len().div_ceil(FRAME_SAMPLES);
    let frame = |number: usize| {
        let at = number * FRAME_SAMPLES / DECIMATION;
        sharp.get(at..at + COMPARED + PERIODS.end).and_then(period)
    };
    (0..frames).map(frame).collect()
}

/// The period of a stretch of [`COMPARED`] samples and the longest period, if it has one.
fn period(samples: &[f32]) -> Option<usize> {
    let now = &samples[..COMPARED];
    let energy: f32 = now.iter().map(|sample| sample * sample).sum();
    let correlation = |period: usize| {
        let then = &samples[period..period + COMPARED];
        let (product, other) =
            now.iter().zip(then).fold((0.0_f32, 0.0_f32), |(product, other), (one, two)| {
                (product + one * two, other + two * two)
            });
        product / (energy * other).sqrt().max(f32::MIN_POSITIVE)
    };
    let correlations: Vec<f32> = (PERIODS.start - 1..=PERIODS.end).map(correlation).collect();
    let peaks = (1..correlations.len() - 1)
        .filter(|&at| correlations[at] >= correlations[at - 1] && correlations[at] >= correlations[at + 1]);
    // A multiple of a period fits as well: the first peak that is nearly the best.
    let best = peaks.clone().map(|at| correlations[at]).fold(0.0, f32::max);
    let mut good = peaks.filter(|&at| correlations[at] >= VOICED.max(0.9 * best));
    good.next().map(|at| at + PERIODS.start - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of speech that are found in what ffmpeg makes.
    fn found(source: &str) -> f64 {
        let made = std::process::Command::new("ffmpeg")
            .args([
                "-v", "error", "-f", "lavfi", "-i", source, "-ac", "1", "-ar", "16000", "-f", "f32le", "-",
            ])
            .output()
            .expect("ffmpeg");
        assert!(made.status.success(), "{made:?}");
        let samples: Vec<f32> =
            made.stdout.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let stretches = spoken_stretches(&samples, 0..samples.len());
        let found: usize = stretches.iter().map(ExactSizeIterator::len).sum();
        found as f64 / f64::from(SAMPLE_RATE)
    }

    /// A text read by a synthetic voice, and effects.
    fn speech(voice: &str, effects: &str) -> String {
        let text = "The sun warms the sea and water rises into the air as vapor High above the ground the vapor cools \
                    and forms clouds When the clouds become heavy rain falls on the mountains and on the fields";
        format!("flite=text='{text}':voice={voice}{effects}")
    }

    #[test]
    fn speech_is_found() {
        for voice in ["slt", "kal", "rms", "awb"] {
            assert!(found(&speech(voice, "")) > 8.0, "{voice}: {}", found(&speech(voice, "")));
        }
        assert!(found(&speech("slt", ",volume=-30dB")) > 8.0, "quiet");
        assert!(found(&speech("slt", ",highpass=300,lowpass=3400")) > 6.0, "telephone");
        assert!(found(&speech("slt", ",apad=pad_dur=4,aloop=loop=3:size=300000")) > 40.0, "with pauses");
    }

    #[test]
    fn noise_tones_hum_and_applause_are_no_speech() {
        for source in [
            "anullsrc=d=40",
            "anoisesrc=d=40:color=white:a=0.3:seed=1",
            "anoisesrc=d=40:color=pink:a=0.3:seed=1",
            "anoisesrc=d=40:color=brown:a=0.3:seed=1",
            "sine=440:d=40",
            "aevalsrc='0.3*sin(2*PI*50*t)+0.1*sin(2*PI*100*t)+0.1*sin(2*PI*150*t)':s=16000:d=40",
            // Beeps, and hum that is switched.
            "aevalsrc='0.3*sin(2*PI*440*t)*lt(mod(t\\,1)\\,0.5)':s=16000:d=40",
            "aevalsrc='0.3*sin(2*PI*100*t)*lt(mod(t\\,0.3)\\,0.15)':s=16000:d=40",
            // Applause: bursts of noise.
            "anoisesrc=d=40:color=white:a=0.5:seed=1,tremolo=f=6:d=0.95",
            "anoisesrc=d=40:color=pink:a=0.5:seed=1,tremolo=f=4:d=0.98",
            "anoisesrc=d=40:color=pink:a=0.5:seed=2,bandpass=f=1200:width_type=o:w=2,tremolo=f=5:d=0.95",
        ] {
            assert_eq!(found(source), 0.0, "{source}");
        }
    }
}
