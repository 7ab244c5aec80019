//! Cuts a long recording at pauses, so that no word is in two pieces.

use std::ops::Range;

use bedel_media::sound::{FRAME_SAMPLES, SAMPLE_RATE};

use super::decoded_audio::{DecodedAudio, DecodedAudioError};
use super::pauses::Loudness;

/// Most samples of a piece, unless the engine takes less at once: 10 minutes, 38 MB of memory. A longer piece
/// costs more to repeat; shorter pieces have more seams. No piece is shorter than half of that, unless the
/// recording is.
pub const MAX_PIECE_SAMPLES: u64 = 10 * 60 * SAMPLE_RATE as u64;

/// The piece that begins at the sample `start`. It takes the rest of the recording if that is at most
/// `longest` samples. Otherwise it ends in the middle of the longest pause that leaves no piece shorter than
/// `longest / 2`.
///
/// # Errors
/// `Unreadable`.
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
    Ok(start..from + cut_point(&window) as u64)
}

/// The middle of the longest pause, in samples, or of the quietest place if there is no pause.
fn cut_point(samples: &[f32]) -> usize {
    let loudness = Loudness::of(samples);
    // `rev`, because `max_by_key` takes the last of several.
    let longest = loudness.pauses().into_iter().rev().max_by_key(ExactSizeIterator::len);
    let place = longest.or_else(|| loudness.quietest()).unwrap_or_default();
    ((place.start + place.end) * FRAME_SAMPLES / 2).min(samples.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: usize = SAMPLE_RATE as usize;

    /// Reproducible noise.
    fn noise(samples: usize, amplitude: f32) -> Vec<f32> {
        let mut state = 1_u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * amplitude
        })
        .take(samples)
        .collect()
    }

    /// Loud noise with quieter stretches: first sample, samples, amplitude.
    fn speech(samples: usize, pauses: &[(usize, usize, f32)]) -> Vec<f32> {
        let mut sound = noise(samples, 0.3);
        for &(from, length, amplitude) in pauses {
            sound[from..from + length].copy_from_slice(&noise(length, amplitude));
        }
        sound
    }

    #[test]
    fn cuts_in_the_middle_of_the_longest_pause() {
        let short: Vec<_> = (1..60).map(|n| (n * SECOND, SECOND / 4, 0.01)).collect();
        let mut pauses = short.clone();
        pauses.push((70 * SECOND, SECOND, 0.01));
        let found = cut_point(&speech(100 * SECOND, &pauses));
        assert!(found.abs_diff(70 * SECOND + SECOND / 2) <= FRAME_SAMPLES, "{found}");
    }

    #[test]
    fn cuts_at_the_quietest_place_without_a_pause() {
        let found = cut_point(&speech(100 * SECOND, &[(42 * SECOND, SECOND / 10, 0.2)]));
        assert!(found.abs_diff(42 * SECOND + SECOND / 20) <= SECOND / 5, "{found}");
    }

    #[test]
    fn silence_can_be_cut() {
        assert!(cut_point(&vec![0.0; 10 * SECOND]) <= 10 * SECOND);
        let long = speech(100 * SECOND, &[(20 * SECOND, 60 * SECOND, 0.0)]);
        assert_eq!(cut_point(&long), 50 * SECOND);
    }

    fn sound(samples: u64) -> (tempfile::NamedTempFile, DecodedAudio) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(samples * 4).unwrap();
        let sound = DecodedAudio::open(file.path()).unwrap();
        (file, sound)
    }

    #[tokio::test]
    async fn pieces_cover_the_recording_within_their_limits() {
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
