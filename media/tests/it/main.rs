//! Decoding of recordings whose voice hides: what is chosen, and what an engine gets.

mod channels;
mod levels;
mod tracks;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use bedel_media::MediaTools;
use bedel_media::sound::{ChannelReason, SoundChoice};

fn tools() -> MediaTools {
    MediaTools::find().expect("ffmpeg and ffprobe")
}

/// A filter that speaks for `seconds` in one of ffmpeg's voices. Silence follows the last word.
fn voice(name: &str, seconds: u32) -> String {
    // Speaking takes longer than everything else here, so each voice speaks once.
    static SPOKEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.wav"));
    let mut spoken = SPOKEN.lock().expect("no panic");
    if spoken.insert(name.to_owned()) {
        let text = "Good morning. Today we will talk about the water cycle. The sun warms the sea. Water rises as \
                    vapor. High above the ground it cools and forms clouds. When they become heavy. Rain falls on \
                    the mountains and on the fields.";
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i"])
            .args([&format!("flite=voice={name}:text='{text}'"), "-ar", "44100"])
            .arg(&file)
            .status();
        assert!(made.expect("ffmpeg").success());
    }
    format!(
        "amovie={},aformat=sample_fmts=fltp:channel_layouts=mono,apad,atrim=duration={seconds},\
         asetnsamples=1024:p=0",
        file.display()
    )
}

/// A filter that generates sound of one channel from a formula of `t`.
fn formula(formula: &str, seconds: u32) -> String {
    format!("aevalsrc='{formula}':s=44100:d={seconds},aformat=sample_fmts=fltp:channel_layouts=mono")
}

fn noise(color: &str, amplitude: f32, seconds: u32) -> String {
    format!(
        "anoisesrc=r=44100:c={color}:a={amplitude}:d={seconds}:seed=1,aformat=sample_fmts=fltp:channel_layouts=mono"
    )
}

/// Runs a filter graph whose outputs are `[a]`, `[b]` and so on, one for each audio track.
fn record(directory: &Path, name: &str, graph: &str, tracks: usize) -> PathBuf {
    let file = directory.join(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "error", "-y", "-filter_complex", graph]);
    for output in ["[a]", "[b]", "[c]"].iter().take(tracks) {
        ffmpeg.args(["-map", output]);
    }
    let made = ffmpeg.args(["-b:a", "192k"]).arg(&file).output().expect("ffmpeg");
    assert!(made.status.success(), "{graph}: {}", String::from_utf8_lossy(&made.stderr));
    file
}

/// What `decode_pcm` chose, and the samples.
async fn decode(file: &Path) -> (SoundChoice, Vec<f32>) {
    let target = file.with_extension("f32");
    let choice = tools().decode_pcm(file, &target).await.expect("sound");
    let bytes = std::fs::read(&target).expect("samples");
    (choice, bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect())
}

/// Root mean square.
fn level(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}
