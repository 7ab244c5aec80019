//! `bedel transcribe`.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bedel_media::MediaTools;
use bedel_media::sound::SoundChoice;
use bedel_speech::{
    AudioChunk, Control, DecodedAudio, Hints, NoPieceStore, PieceStore, Prompt, Transcript, srt,
    transcribe_pieces, vtt,
};
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use crate::config::speech::SpeechOptions;
use crate::error::CliError;
use crate::run::environment;

/// Transcribe a local file like a worker does, without a database.
///
/// First decodes the audio to the temporary directory (TMPDIR), 230 MB per hour.
///
/// Example: bedel transcribe lecture.mp4 --format vtt --output lecture.vtt
#[derive(Debug, Args)]
pub struct TranscribeCommand {
    /// The recording, in any format with audio that ffmpeg reads
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Txt, value_name = "FORMAT")]
    format: Format,
    /// Output file, replaced once the transcript is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Word or name to expect; may be repeated
    #[arg(long = "term", value_name = "TERM")]
    terms: Vec<String>,
    /// Pass the whole recording to the engine at once, to measure the cost of pieces
    #[arg(long, hide = true)]
    in_one_call: bool,
    #[command(flatten)]
    speech: SpeechOptions,
}

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The text alone
    Txt,
    /// WebVTT
    Vtt,
    /// SubRip
    Srt,
    /// All of it, like a worker stores it
    Json,
}

impl TranscribeCommand {
    /// Decodes, transcribes and writes. Shows progress on standard error. Ctrl-C leaves nothing behind.
    ///
    /// # Errors
    /// If the file, the model or ffmpeg is missing, or the recording has no speech.
    pub async fn run(&self) -> Result<(), CliError> {
        if !self.file.is_file() {
            return Err(CliError::Usage(format!("FILE: {} is not a file", self.file.display())));
        }
        let stop = CancellationToken::new();
        let transcript = tokio::select! {
            transcript = self.transcript(&stop) => transcript,
            _ = tokio::signal::ctrl_c() => {
                stop.cancel();
                Err(CliError::Failed("stopped; nothing was written".to_owned()))
            }
        };
        self.write(&self.rendered(&transcript?))
    }

    async fn transcript(&self, stop: &CancellationToken) -> Result<Transcript, CliError> {
        let media = MediaTools::find().map_err(|error| CliError::Usage(error.to_string()))?;
        let engines = environment::engines(&self.speech, &media).map_err(CliError::Usage)?;
        let hints = Hints { language: None, prompt: Prompt::new(&self.terms) };
        let engine = hints.apply(Arc::clone(engines.default_engine()));
        let directory = tempfile::tempdir()
            .map_err(|error| CliError::Failed(format!("the temporary directory (TMPDIR): {error}")))?;
        let progress = Arc::new(Progress::start());
        progress.step("decoding");
        let (sound, choice) = decode(&media, &self.file, directory.path()).await?;
        let bar = Arc::clone(&progress);
        let control = Control::new(stop.clone(), move |fraction| bar.fraction("transcribing", fraction));
        let store = NoPieceStore::new(directory.path());
        let heard = if self.in_one_call {
            let samples = Arc::new(sound.read(0..sound.samples()).await.map_err(|error| failed(&error))?);
            let (scratch, name) = (directory.path(), &store.chunk_name(&(0..sound.samples())));
            let chunk = AudioChunk {
                samples: &samples,
                language: None,
                prompt: None,
                name,
                scratch,
                call_log: &store,
            };
            engine.transcribe(chunk, &control).await.map_err(|error| failed(&error))?
        } else {
            let heard = transcribe_pieces(engine.as_ref(), &sound, &control, &store).await;
            heard.map_err(|error| failed(&error))?.into_raw()
        };
        let mut transcript =
            Transcript::new(engine.describe(), heard, sound.seconds()).map_err(|error| failed(&error))?;
        transcript.sound = Some(choice);
        Ok(transcript)
    }

    fn rendered(&self, transcript: &Transcript) -> String {
        match self.format {
            Format::Txt => format!("{}\n", transcript.text),
            Format::Vtt => vtt::render(transcript),
            Format::Srt => srt::render(transcript),
            Format::Json => serde_json::to_string_pretty(transcript).expect("plain data is JSON") + "\n",
        }
    }

    fn write(&self, text: &str) -> Result<(), CliError> {
        let Some(path) = &self.output else {
            return std::io::stdout().write_all(text.as_bytes()).map_err(|error| failed(&error));
        };
        let failed_with_path =
            |error: &std::io::Error| CliError::Failed(format!("{}: {error}", path.display()));
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // The mode of an ordinary new file.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory.unwrap_or(Path::new(".")))
            .map_err(|error| failed_with_path(&error))?;
        file.write_all(text.as_bytes()).map_err(|error| failed_with_path(&error))?;
        file.persist(path).map_err(|error| failed_with_path(&error.error))?;
        Ok(())
    }
}

/// Decodes the file. Samples whose time stamps are wrong are put back to back first.
async fn decode(
    media: &MediaTools,
    file: &Path,
    directory: &Path,
) -> Result<(DecodedAudio, SoundChoice), CliError> {
    let (audio, decoded) = (directory.join("audio.m4a"), directory.join("audio.f32"));
    let is_right = media.compare_clock(file).await.map_err(|error| failed(&error))?.agrees;
    if !is_right {
        media.extract_audio(file, &audio).await.map_err(|error| failed(&error))?;
    }
    let source = if is_right { file } else { &audio };
    let choice = media.decode_pcm(source, &decoded).await.map_err(|error| failed(&error))?;
    Ok((DecodedAudio::open(&decoded).map_err(|error| failed(&error))?, choice))
}

fn failed(error: &impl std::fmt::Display) -> CliError {
    CliError::Failed(error.to_string())
}
