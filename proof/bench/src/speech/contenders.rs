//! Programs that transcribe a recording.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bedel_speech::Transcript;
use bedel_speech::models;
use bedel_speech::transcript::Segment;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::lecture::Lecture;
use super::options::SpeechArgs;
use crate::error::{BenchError, Result, io, peer};
use crate::program::{cpu_seconds, memory};

/// Poll interval of a process. Processor time and memory are those of the last poll.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A program with one of its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contender {
    Bedel,
    InEightBits,
    InOneCall,
    WhisperCpp,
    FasterWhisper,
}

/// Its cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Seconds from its start to its end.
    pub wall: f64,
    /// Seconds of processor time.
    pub cpu: f64,
    /// Highest resident memory, in bytes.
    pub memory: f64,
}

impl Contender {
    pub(super) const ALL: [Self; 5] =
        [Self::Bedel, Self::InEightBits, Self::InOneCall, Self::WhisperCpp, Self::FasterWhisper];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bedel => "Bedel, in pieces",
            Self::InEightBits => "Bedel with the model in eight bits (-q8_0)",
            Self::InOneCall => "Bedel's engine, in one call",
            Self::WhisperCpp => "whisper.cpp's command line",
            Self::FasterWhisper => "faster-whisper, int8",
        }
    }

    /// Transcribes the lecture.
    pub(super) async fn run(
        self,
        args: &SpeechArgs,
        lecture: &Lecture,
        model: &str,
        directory: &Path,
    ) -> Result<(Measured, Vec<Segment>)> {
        let output = directory.join("transcript.json");
        // The previous run wrote there too.
        let _ = std::fs::remove_file(&output);
        let mut command = self.command(args, lecture, model, &output)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command.spawn().map_err(io(format!("start {}", self.name())))?;
        let pid = child.id().unwrap_or_default();
        let (mut cpu, mut highest) = (0.0, 0.0);
        let status = loop {
            // A zombie process has no memory.
            if let (Ok(seconds), Ok(bytes)) = (cpu_seconds(pid), memory(pid, "VmHWM:")) {
                (cpu, highest) = (seconds, bytes);
            }
            match child.try_wait().map_err(io("look at a process"))? {
                Some(status) => break status,
                None => sleep(LOOK_EVERY).await,
            }
        };
        let wall = begun.elapsed().as_secs_f64();
        if !status.success() {
            return Err(BenchError::Peer(format!("{} ended with {status}", self.name())));
        }
        let json = std::fs::read(&output).map_err(io("read a transcript"))?;
        Ok((Measured { wall, cpu, memory: highest }, segments(&json)?))
    }

    fn command(self, args: &SpeechArgs, lecture: &Lecture, model: &str, output: &Path) -> Result<Command> {
        let mut command = match self {
            Self::Bedel | Self::InEightBits | Self::InOneCall => {
                let mut command = Command::new(&args.bedel);
                let model =
                    if self == Self::InEightBits { format!("{model}-q8_0") } else { model.to_owned() };
                command.arg("transcribe").arg(&lecture.m4a).args([
                    "--format",
                    "json",
                    "--model",
                    &model,
                    "--language",
                    "en",
                ]);
                command.arg("--output").arg(output);
                if self == Self::InOneCall {
                    command.arg("--in-one-call");
                }
                command
            }
            Self::WhisperCpp => {
                let model = models::default_dir().map_err(peer)?.join(format!("ggml-{model}.bin"));
                let mut command = Command::new(args.peers.join("whisper.cpp/bin/whisper-cli"));
                command.args(["-t", "1", "-bs", "1", "-bo", "1", "-l", "en", "-oj", "-m"]).arg(model);
                command.arg("-f").arg(&lecture.wav).arg("-of").arg(output.with_extension(""));
                command
            }
            Self::FasterWhisper => {
                let mut command = Command::new("python3");
                command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/speech/transcribe.py"));
                command.arg(args.peers.join(format!("faster-{model}"))).arg(&lecture.m4a).arg(output);
                command.env("PYTHONPATH", args.peers.join("faster-whisper"));
                command
            }
        };
        command.env("OMP_NUM_THREADS", "1").env("HF_HUB_OFFLINE", "1");
        Ok(command)
    }
}

/// Bedel's payload or whisper.cpp's. faster-whisper writes Bedel's.
fn segments(json: &[u8]) -> Result<Vec<Segment>> {
    if let Ok(transcript) = serde_json::from_slice::<Transcript>(json) {
        return Ok(transcript.segments);
    }
    let answer: Value = serde_json::from_slice(json)?;
    let said = answer["transcription"].as_array().cloned().unwrap_or_default();
    let segments = (0..).zip(said).map(|(id, said)| {
        let seconds = |side: &str| said["offsets"][side].as_f64().unwrap_or_default() / 1000.0;
        let text = said["text"].as_str().unwrap_or_default().to_owned();
        Segment { id, start: seconds("from"), end: seconds("to"), text }
    });
    Ok(segments.collect())
}
