//! Finds pauses in speech, by loudness.
//!
//! Quiet is relative to the recording: a little above its background, or far below its loud places. If the
//! two are close together, the sound has no pauses. For cutting this is as good as a voice detector (Silero),
//! measured by `script/bench speech`.

use std::ops::Range;

use bedel_media::levels::PowerLevels;
use bedel_media::sound::{FRAME_SAMPLES, SAMPLE_RATE};

use super::raw_transcript::RawSegment;

/// Least frames of a pause: 200 ms. The closure of a consonant is shorter.
const PAUSE_FRAMES: usize = 10;

/// Most power in a pause, as a multiple of the background's: 6 dB.
const ABOVE_BACKGROUND: f32 = 4.0;

/// Power that is always a pause, as a share of the loud places': -40 dB.
const BELOW_SPEECH: f32 = 1e-4;

/// Most frames by which the edge of a segment moves to the edge of a pause: half a second. Whisper's times
/// are often that far off, and its segments leave no pauses between them.
const MAX_SHIFT_FRAMES: usize = 25;

/// The loudness of a stretch of sound, frame by frame.
#[derive(Debug)]
pub(super) struct Loudness {
    power: Vec<f32>,
    /// Most power of a quiet frame.
    quiet: f32,
}

impl Loudness {
    pub(super) fn of(samples: &[f32]) -> Self {
        let power: Vec<f32> = samples
            .chunks(FRAME_SAMPLES)
            .map(|frame| frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32)
            .collect();
        let levels = PowerLevels::of(power.clone());
        let quiet = match levels.has_speech() {
            true => (levels.background * ABOVE_BACKGROUND).max(levels.loud * BELOW_SPEECH),
            false => 0.0,
        };
        Self { power, quiet }
    }

    /// Long enough runs of quiet frames, in order.
    pub(super) fn pauses(&self) -> Vec<Range<usize>> {
        let mut pauses = Vec::new();
        let mut begun = 0;
        for (number, power) in self.power.iter().chain([&f32::INFINITY]).enumerate() {
            if *power > self.quiet {
                if number - begun >= PAUSE_FRAMES {
                    pauses.push(begun..number);
                }
                begun = number + 1;
            }
        }
        pauses
    }

    /// The quietest run of as many frames as a pause has; `None` if the sound is shorter.
    pub(super) fn quietest(&self) -> Option<Range<usize>> {
        let sums = self.power.windows(PAUSE_FRAMES).map(|frames| frames.iter().sum::<f32>()).enumerate();
        let (start, _) = sums.min_by(|one, other| one.1.total_cmp(&other.1))?;
        Some(start..start + PAUSE_FRAMES)
    }
}

/// Moves the start of each segment to the end of a nearby pause, and its end to the start of one. Times count
/// from the start of `samples`. An end behind them moves to their end, so that no start can move there: the
/// words would be lost.
pub(super) fn snap_to_pauses(segments: &mut [RawSegment], samples: &[f32]) {
    let pauses = Loudness::of(samples).pauses();
    let length = samples.len() as f64 / f64::from(SAMPLE_RATE);
    for segment in segments {
        if segment.end > length {
            segment.end = length.max(segment.start);
        }
        let start = nearest_pause(&pauses, segment.start).map_or(segment.start, |pause| seconds(pause.end));
        let end = nearest_pause(&pauses, segment.end).map_or(segment.end, |pause| seconds(pause.start));
        if start < end {
            (segment.start, segment.end) = (start, end);
        }
    }
}

/// The nearest pause within [`MAX_SHIFT_FRAMES`].
fn nearest_pause(pauses: &[Range<usize>], time: f64) -> Option<&Range<usize>> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates at both ends"
    )]
    let frame = (time * f64::from(SAMPLE_RATE) / FRAME_SAMPLES as f64) as usize;
    let after = pauses.partition_point(|pause| pause.end <= frame);
    let candidates = &pauses[after.saturating_sub(1)..(after + 1).min(pauses.len())];
    let distance =
        |pause: &Range<usize>| pause.start.saturating_sub(frame).max(frame.saturating_sub(pause.end));
    candidates.iter().filter(|pause| distance(pause) <= MAX_SHIFT_FRAMES).min_by_key(|pause| distance(pause))
}

#[expect(clippy::cast_precision_loss, reason = "frames of at most twelve hours")]
fn seconds(frame: usize) -> f64 {
    (frame * FRAME_SAMPLES) as f64 / f64::from(SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loud noise with quieter stretches: from second, to second, amplitude.
    fn sound(seconds: usize, pauses: &[(f64, f64, f32)]) -> Vec<f32> {
        let rate = f64::from(SAMPLE_RATE);
        let mut state = 1_u32;
        let amplitude = |at: usize| {
            let inside = |&&(from, to, _): &&(f64, f64, f32)| (from * rate..to * rate).contains(&(at as f64));
            pauses.iter().find(inside).map_or(0.3, |(_, _, amplitude)| *amplitude)
        };
        (0..seconds * SAMPLE_RATE as usize)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * amplitude(at)
            })
            .collect()
    }

    fn fitted(samples: &[f32], start: f64, end: f64) -> (f64, f64) {
        let mut segments = [RawSegment { start, end, text: "Well.".to_owned() }];
        snap_to_pauses(&mut segments, samples);
        (segments[0].start, segments[0].end)
    }

    #[test]
    fn pauses_are_found_in_silence_and_noise_but_not_short_ones() {
        let samples =
            sound(20, &[(1.0, 3.0, 0.002), (5.0, 5.1, 0.002), (7.0, 9.0, 0.0), (19.0, 20.0, 0.001)]);
        let pauses = Loudness::of(&samples).pauses();
        assert_eq!(pauses, [50..150, 350..450, 950..1000]);
        assert_eq!(Loudness::of(&sound(20, &[])).pauses(), [], "no pauses");
    }

    #[test]
    fn words_at_the_end_stay_within_the_sound() {
        // Speech up to 18.0, and a pause up to the end.
        let samples = sound(20, &[(4.0, 6.0, 0.01), (18.0, 20.0, 0.01)]);
        for (times, expected) in [
            ((17.8, 30.0), (17.8, 20.0)),
            ((18.2, 19.9), (18.2, 19.9)),
            ((10.0, 30.0), (10.0, 18.0)),
            // Behind the end: dropped later.
            ((20.5, 30.0), (20.5, 20.5)),
        ] {
            assert_eq!(fitted(&samples, times.0, times.1), expected, "{times:?}");
        }
    }

    #[test]
    fn segments_snap_to_nearby_pauses() {
        let samples = sound(20, &[(4.0, 6.0, 0.01), (10.0, 11.0, 0.01)]);
        for (times, expected) in [
            ((4.2, 10.3), (6.0, 10.0)),
            ((6.0, 10.0), (6.0, 10.0)),
            ((6.4, 11.4), (6.0, 10.0)),
            ((5.7, 9.6), (6.0, 10.0)),
            // Too far away.
            ((2.0, 3.4), (2.0, 3.4)),
            ((6.6, 9.4), (6.6, 9.4)),
            // The end would move before the start.
            ((4.1, 5.9), (4.1, 5.9)),
            ((-1.0, 99.0), (-1.0, 20.0)),
        ] {
            assert_eq!(fitted(&samples, times.0, times.1), expected, "{times:?}");
        }
        let (start, end) = fitted(&samples, f64::NAN, 3.7);
        assert!(start.is_nan() && end == 3.7, "NaN stays NaN");
    }
}
