//! Constants of sound, shared by decoding and transcription.

/// Samples per second of decoded sound, as Whisper expects.
pub const SAMPLE_RATE: u32 = 16_000;

/// Samples of one frame, 20 ms: shorter than a speech sound.
pub const FRAME_SAMPLES: usize = SAMPLE_RATE as usize / 50;

/// Bits per second of speech encoded for an upload.
pub const SPEECH_BITS: u64 = 48_000;

/// The longest recording transcribed, in hours. It takes 2.8 GB of scratch.
pub const MAX_HOURS: u64 = 12;
