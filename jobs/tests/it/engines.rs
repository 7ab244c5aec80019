//! Remote engines, with faults injected. The feature `real-peers` adds other people's servers.

pub mod http_proxy;
mod openai;
mod openai_server;
#[cfg(feature = "real-peers")]
mod real_peers;
mod task;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bedel_media::MediaTools;
use bedel_speech::remote::RemoteSettings;
use bedel_speech::wer::word_error_rate;
use bedel_speech::whisper::Whisper;
use bedel_speech::{Control, RawTranscript, models};
use tokio_util::sync::CancellationToken;

use crate::environment::speech_server as settings;
use crate::upload::Upload;

const SPOKEN: &str = "The sun warms the sea, and water rises into the air as vapor. High above the ground the vapor cools \
     and forms clouds. When the clouds become heavy, rain falls on the mountains and on the fields.";

/// Twelve seconds in which [`SPOKEN`] is said.
static SPEECH: LazyLock<Arc<Vec<f32>>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let (words, decoded) = (directory.path().join("words.txt"), directory.path().join("speech.f32"));
    std::fs::write(&words, SPOKEN).expect("a text file");
    let spoken = format!("flite=textfile={}:voice=slt", words.display());
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &spoken, "-ac", "1", "-ar", "16000", "-f", "f32le"])
        .arg(&decoded)
        .status()
        .expect("ffmpeg");
    assert!(made.success());
    let bytes = std::fs::read(&decoded).expect("samples");
    Arc::new(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
});

fn model_dir() -> std::path::PathBuf {
    let dir = models::default_dir().expect("a directory for models");
    models::verify(&dir, models::DEFAULT_MODEL).expect("Type: script/setup");
    dir
}

static EMBEDDED: LazyLock<Whisper> = LazyLock::new(|| Whisper::new(models::DEFAULT_MODEL, model_dir(), None));

fn media() -> MediaTools {
    MediaTools::find().expect("ffmpeg and ffprobe")
}

fn control() -> Control {
    Control::new(CancellationToken::new(), |_| ())
}

fn text(heard: &RawTranscript) -> String {
    heard.segments.iter().map(|segment| segment.text.trim()).collect::<Vec<_>>().join(" ")
}

/// Asserts the words and their times.
fn assert_heard(what: &str, heard: &RawTranscript, seconds: f64) {
    let rate = word_error_rate(SPOKEN, &text(heard));
    assert!(rate <= 0.1, "{what}: {rate}: {heard:?}");
    let times: Vec<f64> = heard.segments.iter().flat_map(|segment| [segment.start, segment.end]).collect();
    assert!(times.is_sorted() && times[0] < 1.0, "{what}: {times:?}");
    let end = *times.last().expect("an end");
    assert!((seconds - 2.0..=seconds + 1.0).contains(&end), "{what}: {end} of {seconds}");
}

fn seconds(samples: &[f32]) -> f64 {
    samples.len() as f64 / 16_000.0
}

/// A received upload: its name and length in seconds.
async fn uploaded(body: &[u8], content_type: &str, field: &str) -> (String, f64) {
    let upload = Upload::read(content_type, body.to_vec().into(), field).await.expect("a file");
    let seconds = seconds(&upload.samples().await);
    (upload.name, seconds)
}
