//! Cuts of a recording by loudness and by a voice detector, in silence and in noise.

use std::ops::Range;
use std::path::Path;

use bedel_media::sound::SAMPLE_RATE;
use bedel_speech::{DecodedAudio, pieces};
use tokio::process::Command;

use super::lecture::Lecture;
use super::options::SpeechArgs;
use crate::directory::Directory;
use crate::error::{BenchError, Result, io, peer};
use crate::page::{self, Row};
use crate::program::ended_badly;

/// Pieces of at most a minute, so the window for a cut is half a minute.
const LONGEST: u64 = 60 * SAMPLE_RATE as u64;

/// Distance between starts of windows, in samples.
const APART: usize = 5 * SAMPLE_RATE as usize;

/// Decibels of the voice above the noise.
const NOISES: [Option<f32>; 4] = [None, Some(20.0), Some(10.0), Some(5.0)];

/// A table: cuts of each method that fall inside a sentence.
pub(super) async fn compare(args: &SpeechArgs, lecture: &Lecture, directory: &Directory) -> Result<String> {
    let wav = std::fs::read(&lecture.wav).map_err(io("read the lecture"))?;
    let clean: Vec<f32> = wav[wav.len() % 2..]
        .as_chunks::<2>()
        .0
        .iter()
        .skip(39) // ffmpeg's header
        .map(|two| f32::from(i16::from_le_bytes(*two)) / 32768.0)
        .collect();
    let mut text = String::from(
        "## Cuts\n\n| noise | windows | inside a sentence, by loudness | inside a sentence, by voices |\n| --- | ---: | ---: | ---: |\n",
    );
    let mut rows = Vec::new();
    for noise in NOISES {
        let samples = noisy(&clean, noise);
        let (loudness, windows) = by_loudness(lecture, &samples, directory.path()).await?;
        let voices = by_voices(args, lecture, &samples, directory.path()).await?;
        let name =
            noise.map_or_else(|| "none".to_owned(), |decibels| format!("{decibels} dB below the voice"));
        println!(
            "cuts, noise {name}: {loudness} of {windows} inside a sentence by loudness, {voices} by voices"
        );
        text += &format!("| {name} | {windows} | {loudness} | {voices} |\n");
        let share = |cuts: usize| cuts as f64 / windows as f64 * 100.0;
        rows.push((share(loudness), share(voices)));
    }
    let worst = rows.iter().map(|(loudness, voices)| loudness - voices).fold(f64::MIN, f64::max);
    let rows = [Row::plain("by loudness more than by voices, at worst, in points", worst)];
    Ok(format!("{text}\n{}", page::table(&rows)))
}

/// Adds white noise, the same in each run.
fn noisy(clean: &[f32], decibels: Option<f32>) -> Vec<f32> {
    let Some(decibels) = decibels else { return clean.to_vec() };
    let power = clean.iter().map(|sample| f64::from(sample * sample)).sum::<f64>() / clean.len() as f64;
    // The power of uniform noise is a third of its squared amplitude.
    let amplitude = ((power * 3.0).sqrt() as f32) * 10_f32.powf(-decibels / 20.0);
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * amplitude
    };
    clean.iter().map(|sample| (sample + noise()).clamp(-1.0, 1.0)).collect()
}

/// Starts of windows, and the windows.
fn windows(samples: usize) -> impl Iterator<Item = (u64, Range<f64>)> {
    let last = samples.saturating_sub(LONGEST as usize * 2);
    (0..last).step_by(APART).map(|start| {
        let seconds = start as f64 / f64::from(SAMPLE_RATE);
        (start as u64, seconds + 30.0..seconds + 60.0)
    })
}

fn is_inside(lecture: &Lecture, cut: f64) -> bool {
    lecture.spoken.iter().any(|sentence| (sentence.start..sentence.end).contains(&cut))
}

async fn by_loudness(lecture: &Lecture, samples: &[f32], directory: &Path) -> Result<(usize, usize)> {
    let file = directory.join("noisy.f32");
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    std::fs::write(&file, bytes).map_err(io("write samples"))?;
    let sound = DecodedAudio::open(&file).map_err(peer)?;
    let (mut inside, mut all) = (0, 0);
    for (start, _) in windows(samples.len()) {
        let piece = pieces::next_piece(&sound, start, LONGEST).await.map_err(peer)?;
        inside += usize::from(is_inside(lecture, piece.end as f64 / f64::from(SAMPLE_RATE)));
        all += 1;
    }
    Ok((inside, all))
}

/// Cuts in the middle of the longest gap without a voice.
async fn by_voices(args: &SpeechArgs, lecture: &Lecture, samples: &[f32], directory: &Path) -> Result<usize> {
    let file = directory.join("noisy.f32");
    let wav = directory.join("noisy.wav");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-f", "f32le", "-ar", "16000", "-ac", "1", "-i"]).arg(&file).arg(&wav);
    let made = ffmpeg.output().await.map_err(io("start ffmpeg"))?;
    if !made.status.success() {
        return Err(ended_badly("ffmpeg", &made));
    }
    let mut python = Command::new("python3");
    python.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/speech/voices.py")).arg(&wav);
    python.env("PYTHONPATH", args.peers.join("faster-whisper"));
    let heard = python.output().await.map_err(io("start python3"))?;
    if !heard.status.success() {
        return Err(ended_badly("voices.py", &heard));
    }
    let voices: Vec<(f64, f64)> = serde_json::from_slice(&heard.stdout)?;
    let mut inside = 0;
    for (_, window) in windows(samples.len()) {
        let edges = std::iter::once((f64::MIN, window.start)).chain(voices.iter().copied());
        let edges: Vec<(f64, f64)> = edges.chain([(window.end, f64::MAX)]).collect();
        let gaps = edges.windows(2).map(|pair| pair[0].1.max(window.start)..pair[1].0.min(window.end));
        let longest = gaps.max_by(|one, other| (one.end - one.start).total_cmp(&(other.end - other.start)));
        let cut = longest.map(|gap| f64::midpoint(gap.start, gap.end));
        let cut = cut.ok_or_else(|| BenchError::Peer("no window".to_owned()))?;
        inside += usize::from(is_inside(lecture, cut));
    }
    Ok(inside)
}
