//! Encodes a chunk as a file to upload.

use std::io;
use std::sync::Arc;

use bedel_media::sound::SAMPLE_RATE;
use bedel_media::{MediaError, MediaTools};
use reqwest::multipart::{Form, Part};

use super::client::Server;
use super::error::RemoteError;
use super::settings::{FORM_BYTES, RemoteSettings};
use crate::engine::AudioChunk;
use crate::engine_error::EngineError;
use crate::prompt::estimate_tokens;

/// Bytes before the samples in a WAV file.
const HEADER_BYTES: u64 = 44;
const BYTES_PER_SAMPLE: u64 = 2;

/// Longest prompt, in estimated tokens. Whisper reads the last 223 of a longer one, and would lose the first terms.
const MAX_PROMPT_TOKENS: usize = 220;

/// A file in memory.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    bytes: Vec<u8>,
    name: &'static str,
    mime: &'static str,
}

impl Upload {
    /// Encodes as WAV, which every server reads and which is lossless. Falls back to AAC if WAV is too large
    /// to upload.
    pub(super) async fn of(
        chunk: &AudioChunk<'_>,
        server: &Server,
        media: &MediaTools,
    ) -> Result<Self, EngineError> {
        let max_bytes = server.settings().max_upload_bytes.saturating_sub(FORM_BYTES);
        let disk = |error: io::Error| MediaError::io("ffmpeg", &error);
        let samples = Arc::clone(chunk.samples);
        let wav =
            tokio::task::spawn_blocking(move || wav(&samples)).await.map_err(|error| disk(error.into()))?;
        if wav.len() as u64 <= max_bytes {
            return Ok(Self { bytes: wav, name: "audio.wav", mime: "audio/wav" });
        }
        let (source, target) = (chunk.scratch.join("chunk.wav"), chunk.scratch.join("chunk.m4a"));
        tokio::fs::write(&source, wav).await.map_err(disk)?;
        media.encode_speech(&source, &target).await?;
        let bytes = tokio::fs::read(&target).await.map_err(disk)?;
        if bytes.len() as u64 > max_bytes {
            return Err(RemoteError::TooLarge { host: server.host(), bytes: bytes.len() as u64 }.into());
        }
        Ok(Self { bytes, name: "audio.m4a", mime: "audio/mp4" })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// A form with the file in `field`, and the language and the words to expect if they are known.
    pub(super) fn form(self, field: &'static str, chunk: &AudioChunk<'_>, settings: &RemoteSettings) -> Form {
        let part = Part::bytes(self.bytes).file_name(self.name);
        let form = Form::new().part(field, part.mime_str(self.mime).expect("both are well-formed"));
        let form = match chunk.language.or(settings.language.as_deref()) {
            Some(language) => form.text("language", language.to_owned()),
            None => form,
        };
        match chunk.prompt.and_then(|prompt| prompt.text(MAX_PROMPT_TOKENS, estimate_tokens)) {
            Some(prompt) => form.text("prompt", prompt),
            None => form,
        }
    }
}

/// A canonical WAV file: one channel of 16 bits.
fn wav(samples: &[f32]) -> Vec<u8> {
    let data = samples.len() as u64 * BYTES_PER_SAMPLE;
    let le_bytes =
        |number: u64| u32::try_from(number).expect("a chunk has at most ten minutes").to_le_bytes();
    let mut wav = Vec::with_capacity(samples.len() * 2 + HEADER_BYTES as usize);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&le_bytes(HEADER_BYTES - 8 + data));
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&SAMPLE_RATE.to_le_bytes());
    wav.extend_from_slice(&le_bytes(u64::from(SAMPLE_RATE) * BYTES_PER_SAMPLE));
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&le_bytes(data));
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let as_integer = |sample: f32| (sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16;
    wav.extend(samples.iter().flat_map(|sample| as_integer(*sample).to_le_bytes()));
    wav
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ffmpeg_reads_the_wav_file_back() {
        let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 / 16_000.0) * 2.0 - 1.0).collect();
        let directory = tempfile::tempdir().unwrap();
        let (file, back) = (directory.path().join("a.wav"), directory.path().join("a.f32"));
        std::fs::write(&file, wav(&samples)).unwrap();
        let read = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&file)
            .args(["-f", "f32le", "-ac", "1", "-ar", "16000"])
            .arg(&back)
            .output()
            .unwrap();
        assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
        let back: Vec<f32> = std::fs::read(&back)
            .unwrap()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|four| f32::from_le_bytes(*four))
            .collect();
        assert_eq!(back.len(), samples.len());
        assert!(back.iter().zip(&samples).all(|(one, other)| (one - other).abs() < 1e-4));
    }
}
