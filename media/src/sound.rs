//! Constants of sound that decoding and transcription share.

/// Samples per second of decoded sound: what Whisper listens to.
pub const SAMPLE_RATE: u32 = 16_000;

/// Bits per second of speech encoded for an upload.
pub const SPEECH_BITS: u64 = 48_000;

/// The longest recording transcribed, in hours. It takes 2.8 GB of scratch.
pub const MAX_HOURS: u64 = 12;
