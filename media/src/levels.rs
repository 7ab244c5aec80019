//! How loud a recording is in its quiet and its loud places.

/// Least power of speech, as a multiple of the background's: 9 dB. With less, there are no pauses
/// or there is no speech.
const SPEECH_RATIO: f32 = 8.0;

/// Quantiles of the power of frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLevels {
    /// 10 % of the frames have less power: the background.
    pub background: f32,
    /// 10 % of the frames have as much power or more: the loud places.
    pub loud: f32,
    /// 0.1 % of the frames have as much power or more.
    pub loudest: f32,
}

impl PowerLevels {
    /// From the power of each frame, in any order.
    #[must_use]
    pub fn of(mut power: Vec<f32>) -> Self {
        power.sort_unstable_by(f32::total_cmp);
        let quantile =
            |thousandths: usize| power.get(power.len() * thousandths / 1000).copied().unwrap_or_default();
        Self { background: quantile(100), loud: quantile(900), loudest: quantile(999) }
    }

    /// True where the loud places stand out from the background as speech does.
    #[must_use]
    pub fn has_speech(self) -> bool {
        self.loud > 0.0 && self.loud >= self.background * SPEECH_RATIO
    }
}
