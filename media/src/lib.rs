//! ffmpeg and ffprobe on local files, as typed async functions.
//!
//! [`MediaTools`] probes, extracts, joins, measures, decodes and encodes. Each function starts one child
//! process and returns a [`MediaError`] that says what failed and what to do. Dropping a future kills its
//! process.
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
//! 3. `child`: runs a tool that dies with its worker, even after `kill -9`.
//! 4. `tracks` and `channels`: find the track and the channels with the voice, by `listening` and [`levels`].
//! 5. `gain`: corrects a level that an engine cannot work with.
//! 6. [`sound`]: constants and results shared with transcription.

mod channels;
mod child;
mod error;
mod ffmpeg;
mod ffprobe;
mod gain;
pub mod levels;
mod listening;
pub mod sound;
mod tools;
mod tracks;

pub use self::error::MediaError;
pub use self::ffmpeg::SoundStats;
pub use self::ffprobe::{AudioStream, ProbeReport};
pub use self::tools::MediaTools;
