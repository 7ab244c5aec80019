//! The mel filter bank that Whisper was trained with: 80 triangles on Slaney's mel scale, each of area one,
//! over the 201 frequencies of a 400-point Fourier transform at 16 kHz. The same for the whole model family:
//! CTranslate2 files omit it, ggml files contain it.

/// Number of filters.
pub(super) const FILTERS: usize = 80;

/// Frequencies from 0 to 8 kHz, 40 Hz apart.
pub(super) const FREQUENCIES: usize = 201;

const SPACING_HZ: f64 = 40.0;
const HIGHEST_HZ: f64 = 8000.0;

/// The scale is linear below 1 kHz and logarithmic above: 27 mels for a factor of 6.4.
const BEND_HZ: f64 = 1000.0;
const BEND_MEL: f64 = 15.0;
const HZ_PER_MEL: f64 = 200.0 / 3.0;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hz(mel: f64) -> f64 {
    if mel < BEND_MEL { mel * HZ_PER_MEL } else { BEND_HZ * ((mel - BEND_MEL) * log_step()).exp() }
}

/// The weights, filter by filter.
#[expect(clippy::cast_possible_truncation, reason = "the file format stores single precision")]
#[expect(clippy::cast_precision_loss, reason = "indexes below a thousand are exact")]
pub(super) fn filters() -> Vec<f32> {
    let highest = BEND_MEL + (HIGHEST_HZ / BEND_HZ).ln() / log_step();
    let corners: Vec<f64> =
        (0..FILTERS + 2).map(|index| hz(highest * index as f64 / (FILTERS + 1) as f64)).collect();
    let mut weights = Vec::with_capacity(FILTERS * FREQUENCIES);
    for corner in corners.windows(3) {
        let [low, peak, high] = [corner[0], corner[1], corner[2]];
        let scale = 2.0 / (high - low);
        for index in 0..FREQUENCIES {
            let frequency = index as f64 * SPACING_HZ;
            let triangle =
                ((frequency - low) / (peak - low)).min((high - frequency) / (high - peak)).max(0.0);
            weights.push((triangle * scale) as f32);
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_is_one_triangle_of_area_one() {
        let weights = filters();
        assert_eq!(weights.len(), FILTERS * FREQUENCIES);
        for (index, filter) in weights.chunks(FREQUENCIES).enumerate() {
            assert!(filter.iter().all(|weight| (0.0..0.05).contains(weight)), "{index}");
            assert!(filter.iter().any(|weight| *weight > 0.0), "{index}");
            // Only wide filters have enough samples for the sum to approximate the area.
            if index >= 60 {
                let area: f64 = filter.iter().map(|weight| f64::from(*weight) * SPACING_HZ).sum();
                assert!((area - 1.0).abs() < 0.02, "{index}: {area}");
            }
        }
    }
}
