//! Checks that an engine returned words wherever there is speech.

use std::ops::Range;

use bedel_media::sound::SAMPLE_RATE;

use super::decoded_audio::seconds;
use super::gap::{Gap, GapReason};
use super::raw_transcript::RawSegment;
use super::repetition::cut_loops;
use super::voice::spoken_stretches;

/// Longest speech without a segment, in samples: 30 seconds, one window of Whisper.
const MAX_SAMPLES: usize = 30 * SAMPLE_RATE as usize;

/// Longest speech behind the last segment of a server that reports its end as the length, in samples: 5
/// seconds, the end of a sentence and some noise.
const MAX_UNHEARD_SAMPLES: usize = 5 * SAMPLE_RATE as usize;

/// True if there are more than 5 seconds of speech behind a sample of a piece.
pub(super) fn has_speech(samples: &[f32], start: usize) -> bool {
    let stretches = spoken_stretches(samples, start.min(samples.len())..samples.len());
    stretches.iter().any(|stretch| stretch.len() > MAX_UNHEARD_SAMPLES)
}

/// Stretches of a piece with more than 30 seconds of speech and no segment. Segments that are
/// dropped later as blank or as a loop do not count. Slow where there are no segments.
pub(super) fn silent_gaps(segments: &[RawSegment], samples: &[f32]) -> Vec<Gap> {
    let stretches = uncovered(segments, samples.len())
        .into_iter()
        .filter(|range| range.len() > MAX_SAMPLES)
        .flat_map(|range| spoken_stretches(samples, range))
        .filter(|stretch| stretch.len() > MAX_SAMPLES);
    let gap = |stretch: Range<usize>| Gap {
        start: seconds(stretch.start as u64),
        end: seconds(stretch.end as u64),
        reason: GapReason::NoWords,
    };
    stretches.map(gap).collect()
}

/// The samples that no segment covers, in order.
fn uncovered(segments: &[RawSegment], samples: usize) -> Vec<Range<usize>> {
    let (mut ranges, mut at) = (Vec::new(), 0);
    for segment in spoken_segments(segments) {
        let start = sample(segment.start).min(samples);
        if start > at {
            ranges.push(at..start);
        }
        at = at.max(sample(segment.end).min(samples));
    }
    ranges.push(at..samples);
    ranges
}

/// The segments that stay in the transcript, in order: none is blank, and a loop has one round.
pub(super) fn spoken_segments(segments: &[RawSegment]) -> Vec<RawSegment> {
    let mut spoken: Vec<RawSegment> =
        segments.iter().filter(|segment| !is_blank(&segment.text)).cloned().collect();
    spoken.sort_by(|one, other| one.start.total_cmp(&other.start));
    cut_loops(spoken)
}

/// True for Whisper's labels of silence.
fn is_blank(text: &str) -> bool {
    let text = text.to_lowercase();
    !text.contains(char::is_alphanumeric) || text.contains("blank_audio") || text.trim() == "[ silence ]"
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates at both ends"
)]
pub(super) fn sample(seconds: f64) -> usize {
    (seconds * f64::from(SAMPLE_RATE)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: f64, end: f64, text: &str) -> RawSegment {
        RawSegment { start, end, text: text.to_owned() }
    }

    #[test]
    fn segments_cover_and_blanks_and_loops_do_not() {
        let rate = SAMPLE_RATE as usize;
        let shown = |segments: &[RawSegment]| {
            let ranges = uncovered(segments, 100 * rate).into_iter().filter(|range| !range.is_empty());
            ranges.map(|range| (range.start / rate, range.end / rate)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&[]), [(0, 100)]);
        assert_eq!(
            shown(&[segment(50.0, 90.0, "b"), segment(10.0, 60.0, "a"), segment(20.0, 30.0, "c")]),
            [(0, 10), (90, 100)]
        );
        assert_eq!(
            shown(&[segment(0.0, 40.0, " [BLANK_AUDIO]"), segment(40.0, 400.0, "(music)")]),
            [(0, 40)]
        );
        let looped =
            (0..10).map(|n| segment(f64::from(n) * 10.0, f64::from(n) * 10.0 + 10.0, "Thank you so much."));
        assert_eq!(shown(&looped.collect::<Vec<_>>()), [(10, 100)]);
        assert_eq!(shown(&[segment(f64::NAN, 100.0, "a")]), []);
    }
}
