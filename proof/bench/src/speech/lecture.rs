//! The recording whose words are known.

use std::path::PathBuf;

use bedel_speech::wer::SpokenSentence;

use super::options::SpeechArgs;
use crate::error::{Result, io};

/// The recording and its words.
pub(super) struct Lecture {
    pub(super) wav: PathBuf,
    pub(super) m4a: PathBuf,
    pub(super) spoken: Vec<SpokenSentence>,
    pub(super) seconds: f64,
}

impl Lecture {
    pub(super) fn open(args: &SpeechArgs) -> Result<Self> {
        let directory = &args.spoken;
        let json = std::fs::read(directory.join("spoken.json")).map_err(io("read what is said"))?;
        let wav = directory.join("lecture.wav");
        // 16 bits at 16 kHz, after a header of some tens of bytes.
        let bytes = std::fs::metadata(&wav).map_err(io("look at the lecture"))?.len();
        let spoken = serde_json::from_slice(&json)?;
        Ok(Self { wav, m4a: directory.join("lecture.m4a"), spoken, seconds: bytes as f64 / 32_000.0 })
    }

    pub(super) fn words(&self) -> String {
        self.spoken.iter().map(|sentence| sentence.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}
