//! Tests of the jobs, with a real PostgreSQL, a real file system and a real ffmpeg.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[cfg(feature = "whisper")]
mod cache;
mod captions;
mod cleanup_orphans;
mod clock;
mod course_sync;
mod documented;
mod download;
#[cfg(feature = "whisper")]
mod engines;
mod environment;
mod fetch;
mod guard;
mod hls;
mod index_transcripts;
mod media;
mod memory_call_log;
mod pipeline;
mod probe;
mod recordings;
mod resume;
mod storage;
mod submit;
mod task_server;
mod test_env;
mod transcribe;
mod upload;
mod webhooks;
