//! Where a long recording is cut: at pauses, so that no word is in two pieces.

use std::ops::Range;

use bedel_media::sound::SAMPLE_RATE;

use super::decoded_audio::{DecodedAudio, DecodedAudioError};
use super::pauses::{FRAME, Loudness};

/// Most samples of a piece, where the engine takes as much at once: 10 minutes. Longer ones cost more to do again, and 38 MB of
/// memory for each 10 minutes; shorter ones have more seams. No piece is shorter than half of that, unless the recording is.
pub const MAX_PIECE_SAMPLES: u64 = 10 * 60 * SAMPLE_RATE as u64;

/// The piece that begins at this sample: to the end of the recording where no more than `longest` samples are left, else to the
/// middle of the longest pause that leaves no piece shorter than half of that.
///
/// # Errors
/// The disk's.
pub async fn next_piece(
    sound: &DecodedAudio,
    start: u64,
    longest: u64,
) -> Result<Range<u64>, DecodedAudioError> {
    let (end, shortest) = (sound.samples(), longest / 2);
    if end - start <= longest {
        return Ok(start..end);
    }
    let from = start + shortest;
    let window = sound.read(from..(start + longest).min(end - shortest)).await?;
    Ok(start..from + pause(&window) as u64)
}

/// The middle of the longest pause, in samples. Where there is none, the quietest place.
fn pause(samples: &[f32]) -> usize {
    let loudness = Loudness::of(samples);
    // Of several, the first.
    let longest = loudness.pauses().into_iter().rev().max_by_key(ExactSizeIterator::len);
    let place = longest.or_else(|| loudness.quietest()).unwrap_or_default();
    ((place.start + place.end) * FRAME / 2).min(samples.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: usize = SAMPLE_RATE as usize;

    /// Noise of this amplitude that is the same each time.
    fn noise(samples: usize, amplitude: f32) -> Vec<f32> {
        let mut state = 1_u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * amplitude
        })
        .take(samples)
        .collect()
    }

    /// Loud noise with quieter places: from, length (both in samples) and amplitude.
    fn speech(samples: usize, pauses: &[(usize, usize, f32)]) -> Vec<f32> {
        let mut sound = noise(samples, 0.3);
        for &(from, length, amplitude) in pauses {
            sound[from..from + length].copy_from_slice(&noise(length, amplitude));
        }
        sound
    }

    #[test]
    fn the_middle_of_the_longest_pause_is_found_in_noise() {
        let short: Vec<_> = (1..60).map(|n| (n * SECOND, SECOND / 4, 0.01)).collect();
        let mut pauses = short.clone();
        pauses.push((70 * SECOND, SECOND, 0.01));
        let found = pause(&speech(100 * SECOND, &pauses));
        assert!(found.abs_diff(70 * SECOND + SECOND / 2) <= FRAME, "{found}");
    }

    #[test]
    fn without_a_pause_the_quietest_place_is_taken() {
        let found = pause(&speech(100 * SECOND, &[(42 * SECOND, SECOND / 10, 0.2)]));
        assert!(found.abs_diff(42 * SECOND + SECOND / 20) <= SECOND / 5, "{found}");
    }

    #[test]
    fn silence_is_cut_anywhere() {
        assert!(pause(&vec![0.0; 10 * SECOND]) <= 10 * SECOND);
        let long = speech(100 * SECOND, &[(20 * SECOND, 60 * SECOND, 0.0)]);
        assert_eq!(pause(&long), 50 * SECOND);
    }

    fn sound(samples: u64) -> (tempfile::NamedTempFile, DecodedAudio) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(samples * 4).unwrap();
        let sound = DecodedAudio::open(file.path()).unwrap();
        (file, sound)
    }

    #[tokio::test]
    async fn pieces_follow_one_another_to_the_end_and_none_is_too_short_or_too_long() {
        let minute = 60 * u64::from(SAMPLE_RATE);
        let lengths = [
            1,
            MAX_PIECE_SAMPLES,
            MAX_PIECE_SAMPLES + 1,
            11 * minute,
            15 * minute + 7,
            16 * minute,
            47 * minute + 1,
        ];
        for (samples, longest) in
            lengths.iter().flat_map(|samples| [(*samples, MAX_PIECE_SAMPLES), (*samples, minute)])
        {
            let (_file, sound) = sound(samples);
            let mut start = 0;
            while start < samples {
                let found = next_piece(&sound, start, longest).await.unwrap();
                assert_eq!(found.start, start);
                let length = found.end - found.start;
                assert!(
                    length <= longest && (length >= longest / 2 || samples <= longest),
                    "{length} of {samples}"
                );
                start = found.end;
            }
            assert_eq!(start, samples);
        }
    }
}
