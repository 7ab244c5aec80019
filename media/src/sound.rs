//! Sound as decoding and transcription share it.

use serde::{Deserialize, Serialize};

/// Samples per second of decoded sound, as Whisper expects.
pub const SAMPLE_RATE: u32 = 16_000;

/// Samples of one frame, 20 ms: shorter than a speech sound.
pub const FRAME_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// Bits per second of speech encoded for an upload.
pub const SPEECH_BITS: u64 = 48_000;

/// The longest recording transcribed, in hours. It takes 2.8 GB of scratch.
pub const MAX_HOURS: u64 = 12;

/// The sound that was decoded: its track and channels, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SoundChoice {
    /// Index of the audio track, from 0, in the file that was decoded.
    pub track: usize,
    /// Indexes of the channels that were taken, from 0. Several are mixed. More than eight are not listed.
    pub channels: Vec<usize>,
    /// Number of channels of the track.
    pub of: u32,
    /// Why these channels.
    pub reason: ChannelReason,
    /// By how many decibels a very quiet voice was made louder, or sound beyond full scale quieter (below 0). 0
    /// for any other recording.
    #[serde(default)]
    pub gain_db: i32,
}

/// Why channels were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelReason {
    /// There is only one.
    OnlyChannel,
    /// Nothing is lost in the mix of all channels.
    Mix,
    /// The mix cancels the sound: one channel is the other one upside down.
    OppositePhase,
    /// The other channel is silent.
    OtherSilent,
    /// The other channel is steady: noise, hum or a tone.
    OtherNoise,
    /// The other channel is loud and has no voice: music, clicks or beeps.
    OtherNoVoice,
    /// These carry the voice, of more than two channels.
    Voice,
}
