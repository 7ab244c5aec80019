//! The jobs under the real queue: run twice, killed between any two steps, robbed of their lease, failing, and deleted
//! under way. The rows and files must equal those of an undisturbed run.

#[cfg(feature = "whisper")]
mod accurate;
mod bulk;
mod deleted;
mod failed;
mod fake_engine;
mod fenced;
#[cfg(target_os = "linux")]
mod full;
mod harness;
mod killed;
mod paid;
mod pieces;
mod process;
mod published;
mod snapshot;
#[cfg(feature = "whisper")]
mod spoken;
mod twice;
