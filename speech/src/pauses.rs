//! Where nobody speaks, told by loudness.
//!
//! What is quiet is relative to the sound itself: a little above its background, or far below its loud places. Where there is not
//! much between the two nobody pauses, or nobody speaks, and there are no pauses. Beside a detector of voices (Silero) this was
//! measured to be as good for cutting, by `script/bench speech`.

use std::ops::Range;

use bedel_media::sound::SAMPLE_RATE;

use super::engine::RawSegment;

/// Samples that are judged together: 20 ms, a part of a sound.
pub(super) const FRAME: usize = SAMPLE_RATE as usize / 50;

/// Frames that make a pause: 200 ms, since the closure of a consonant is shorter.
pub(super) const PAUSE: usize = 10;

/// Times the power of the background that is no pause any more: 6 dB.
const ABOVE_BACKGROUND: f32 = 4.0;

/// Of the power of the loud places, what is a pause in any case: -40 dB.
const BELOW_SPEECH: f32 = 1e-4;

/// Times the power of the background that speech has at least: 9 dB. With less between them nobody pauses, or nobody speaks.
const SPEECH: f32 = 8.0;

/// Frames by which a segment's edge is moved to that of a pause: half a second. Whisper's times are often that far off, and its
/// segments follow one another without the pauses between them.
const INEXACT: usize = 25;

/// The loudness of some sound, frame by frame.
#[derive(Debug)]
pub(super) struct Loudness {
    power: Vec<f32>,
    /// No louder than this is quiet.
    quiet: f32,
}

impl Loudness {
    pub(super) fn of(samples: &[f32]) -> Self {
        let power: Vec<f32> = samples
            .chunks(FRAME)
            .map(|frame| frame.iter().map(|sample| sample * sample).sum::<f32>() / frame.len() as f32)
            .collect();
        let mut sorted = power.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let share = |tenths: usize| sorted.get(sorted.len() * tenths / 10).copied().unwrap_or_default();
        let (background, loud) = (share(1), share(9));
        let quiet = match loud < background * SPEECH {
            true => 0.0,
            false => (background * ABOVE_BACKGROUND).max(loud * BELOW_SPEECH),
        };
        Self { power, quiet }
    }

    /// Runs of quiet frames that are long enough, in order.
    pub(super) fn pauses(&self) -> Vec<Range<usize>> {
        let mut pauses = Vec::new();
        let mut begun = 0;
        for (number, power) in self.power.iter().chain([&f32::INFINITY]).enumerate() {
            if *power > self.quiet {
                if number - begun >= PAUSE {
                    pauses.push(begun..number);
                }
                begun = number + 1;
            }
        }
        pauses
    }

    /// The quietest place of a pause's length, where there are as many frames.
    pub(super) fn quietest(&self) -> Option<Range<usize>> {
        let sums = self.power.windows(PAUSE).map(|frames| frames.iter().sum::<f32>()).enumerate();
        let (start, _) = sums.min_by(|one, other| one.1.total_cmp(&other.1))?;
        Some(start..start + PAUSE)
    }
}

/// Lets segments begin where a pause ends and end where one begins, if it is near. Their times are from the start of `samples`.
pub(super) fn fit(segments: &mut [RawSegment], samples: &[f32]) {
    let pauses = Loudness::of(samples).pauses();
    for segment in segments {
        let start = near(&pauses, segment.start).map_or(segment.start, |pause| seconds(pause.end));
        let end = near(&pauses, segment.end).map_or(segment.end, |pause| seconds(pause.start));
        if start < end {
            (segment.start, segment.end) = (start, end);
        }
    }
}

/// The pause that is nearest, no further than may be.
fn near(pauses: &[Range<usize>], time: f64) -> Option<&Range<usize>> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates at both ends"
    )]
    let frame = (time * f64::from(SAMPLE_RATE) / FRAME as f64) as usize;
    let after = pauses.partition_point(|pause| pause.end <= frame);
    let candidates = &pauses[after.saturating_sub(1)..(after + 1).min(pauses.len())];
    let distance =
        |pause: &Range<usize>| pause.start.saturating_sub(frame).max(frame.saturating_sub(pause.end));
    candidates.iter().filter(|pause| distance(pause) <= INEXACT).min_by_key(|pause| distance(pause))
}

#[expect(clippy::cast_precision_loss, reason = "frames of at most twelve hours")]
fn seconds(frame: usize) -> f64 {
    (frame * FRAME) as f64 / f64::from(SAMPLE_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loud noise of so many seconds, that is quieter from one second to another.
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
        fit(&mut segments, samples);
        (segments[0].start, segments[0].end)
    }

    #[test]
    fn pauses_are_found_in_silence_and_in_noise_and_short_ones_are_none() {
        let samples =
            sound(20, &[(1.0, 3.0, 0.002), (5.0, 5.1, 0.002), (7.0, 9.0, 0.0), (19.0, 20.0, 0.001)]);
        let pauses = Loudness::of(&samples).pauses();
        assert_eq!(pauses, [50..150, 350..450, 950..1000]);
        assert_eq!(Loudness::of(&sound(20, &[])).pauses(), [], "nobody pauses");
    }

    #[test]
    fn segments_begin_behind_pauses_and_end_before_them() {
        let samples = sound(20, &[(4.0, 6.0, 0.01), (10.0, 11.0, 0.01)]);
        for (times, expected) in [
            ((4.2, 10.3), (6.0, 10.0)),
            ((6.0, 10.0), (6.0, 10.0)),
            ((6.4, 11.4), (6.0, 10.0)),
            ((5.7, 9.6), (6.0, 10.0)),
            // Too far away to be meant.
            ((2.0, 3.4), (2.0, 3.4)),
            ((6.6, 9.4), (6.6, 9.4)),
            // It would end before it begins.
            ((4.1, 5.9), (4.1, 5.9)),
            ((-1.0, 99.0), (-1.0, 99.0)),
        ] {
            assert_eq!(fitted(&samples, times.0, times.1), expected, "{times:?}");
        }
        let (start, end) = fitted(&samples, f64::NAN, 3.7);
        assert!(start.is_nan() && end == 3.7, "a time that is none stays one");
    }
}
