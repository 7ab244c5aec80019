//! From decoded sound to a stored transcript.
//!
//! An [`Engine`] turns sound into timed text: Whisper in this process, or a speech server.
//! [`transcribe_pieces`] cuts a long recording at pauses, hands each piece to the engine and stores it, so
//! that a later attempt resumes behind the stored pieces. [`Transcript`] is the cleaned result, rendered as
//! WebVTT or SubRip by [`vtt`] and [`srt`].
//!
//! # First program
//!
//! ```no_run
//! # #[cfg(feature = "whisper")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use bedel_speech::{Control, DecodedAudio, Engine, NoPieceStore, Transcript, models, transcribe_pieces};
//!
//! // `bedel_media::MediaTools::decode_pcm` writes such a file.
//! let audio = DecodedAudio::open("lecture.f32".as_ref())?;
//! let engine = bedel_speech::whisper::Whisper::new(models::DEFAULT_MODEL, models::default_dir()?, None);
//! let control = Control::new(Default::default(), |share| eprintln!("{:.0} %", share * 100.0));
//! let store = NoPieceStore::new(std::env::temp_dir());
//! let transcription = transcribe_pieces(&engine, &audio, &control, &store).await?;
//! let transcript = Transcript::new(engine.describe(), transcription.into_raw(), audio.seconds())?;
//! println!("{}", transcript.text);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to read
//!
//! 1. [`engine`]: the [`Engine`] trait, and [`AudioChunk`], what an engine gets.
//! 2. [`transcription`]: the loop over the pieces of a recording. [`pieces`] and `pauses` decide where to
//!    cut.
//!    `coverage` and `voice` find speech without words; [`gap`] marks it.
//! 3. [`transcript`]: the stored form; `repetition` cuts loops out of it, and `cue_times` orders it.
//!    [`captions`] cuts its segments into cues for [`vtt`] and [`srt`].
//! 4. `whisper`: the embedded engine. [`models`]: install, verify and find its models.
//! 5. [`remote`]: speech servers. [`call_log`]: how calls that cost money survive a crash; `payload`: their
//!    answers.
//! 6. [`engines`]: the engines of a process, and the one that a job asks for.
//! 7. [`hints`]: the language and the words to expect in one recording. [`prompt`]: how these reach an engine.
//! 8. [`wer`]: word error rate, for tests and benchmarks.

pub mod call_log;
pub mod captions;
pub mod control;
mod coverage;
mod cue_times;
pub mod decoded_audio;
pub mod digest;
pub mod engine;
pub mod engine_error;
pub mod engines;
pub mod gap;
mod gap_captions;
pub mod hints;
pub mod language;
pub mod models;
pub mod no_piece_store;
mod pauses;
mod payload;
mod piece_rank;
pub mod piece_store;
pub mod pieces;
pub mod prompt;
pub mod raw_transcript;
pub mod remote;
mod repetition;
pub mod srt;
mod tokens;
pub mod transcript;
pub mod transcription;
mod voice;
pub mod vtt;
pub mod wer;
#[cfg(feature = "whisper")]
pub mod whisper;

pub use call_log::{CallLog, PaidCall};
pub use control::Control;
pub use decoded_audio::{DecodedAudio, DecodedAudioError};
pub use engine::{AudioChunk, Engine, EngineInfo};
pub use engine_error::EngineError;
pub use engines::{Choice, Engines};
pub use gap::{Gap, GapReason};
pub use hints::Hints;
pub use no_piece_store::{NoPieceStore, NoPieceStoreError};
pub use piece_store::{Piece, PieceStore};
pub use prompt::Prompt;
pub use raw_transcript::{RawSegment, RawTranscript};
pub use transcript::Transcript;
pub use transcription::{Transcription, transcribe_pieces};
