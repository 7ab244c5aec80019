//! ffmpeg and ffprobe on local files, as typed async functions.
//!
//! [`MediaTools`] probes, extracts, measures, decodes and encodes. Each function starts child
//! processes and returns a [`MediaError`] that says what failed and what to do. Dropping a future kills its
//! processes.
//!
//! # Two rules
//!
//! **Count samples, trust no exit code.** A truncated file or a hole in the middle still exits 0. So
//! [`MediaTools::measure_sound`] decodes everything and counts.
//!
//! **Treat media as hostile.** The tools may open local files and pipes only, and only formats that contain
//! their own media. Otherwise a playlist named `lecture.mp4` could read any other file of this host into a
//! transcript.
//!
//! # First program
//!
//! ```no_run
//! use std::path::Path;
//!
//! use bedel_media::{MediaError, MediaTools};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), MediaError> {
//!     let tools = MediaTools::find()?;
//!     let sound = tools.measure_sound(Path::new("lecture.mp4")).await?;
//!     println!("{:.1} seconds, {:.0} % audible", sound.seconds, sound.audible_share * 100.0);
//!     Ok(())
//! }
//! ```
//!
//! # Where to read
//!
//! 1. `tools`: [`MediaTools`], the whole API.
//! 2. `ffmpeg` and `ffprobe`: the command lines.
//! 3. `packet_clock`, `recording` and `timeline`: time stamps, and from several files to one sound on the
//!    session's clock.
//! 4. [`conservation`]: how far two lengths of one recording may differ.
//! 5. `child`: runs a tool that dies with its worker, even after `kill -9`.
//! 6. `tracks` and `channels`: find the track and the channels with the voice, by `listening` and [`levels`].
//! 7. `gain`: corrects a level that an engine cannot work with.
//! 8. [`sound`]: constants and results shared with transcription.

mod channels;
mod child;
pub mod conservation;
mod error;
mod ffmpeg;
mod ffprobe;
mod fragments;
mod gain;
pub mod levels;
mod listening;
mod packet_clock;
mod recording;
pub mod sound;
mod timeline;
mod tools;
mod tracks;

pub use self::error::MediaError;
pub use self::ffmpeg::SoundStats;
pub use self::ffprobe::{AudioStream, ProbeReport};
pub use self::recording::{Recording, SourceFiles};
pub use self::timeline::Piece;
pub use self::tools::{ClockReport, MediaTools};
pub use self::tracks::Content;
