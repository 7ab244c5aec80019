//! Picks the audio track that speaks.

use std::path::Path;

use crate::error::MediaError;
use crate::ffmpeg;
use crate::ffprobe::ProbeReport;
use crate::levels::PowerLevels;
use crate::listening::{self, Listening};
use crate::sound::MAX_HOURS;

/// An earlier track wins over one with more speech if it has this share of it.
const ENOUGH: f32 = 0.5;

/// Tracks that are listened to. Each is decoded.
const MAX_TRACKS: usize = 16;

/// Least power of an audible frame: -60 dB.
const AUDIBLE: f32 = 1e-6;

/// What a sound carries, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Nothing audible.
    Silence,
    /// A tone, hum or noise.
    Steady,
    /// It has pauses.
    Changing,
    /// A voice.
    Speech,
}

/// What a track carries.
///
/// # Errors
/// `NotMedia`, and the tools' own.
pub(crate) async fn content(ffmpeg: &Path, file: &Path, track: usize) -> Result<Content, MediaError> {
    Ok(rate(listen(ffmpeg, file, track).await?).0)
}

/// Listens to all channels of a track, for as long as a recording may be.
///
/// # Errors
/// `NotMedia`, and the tools' own.
pub(crate) async fn listen(ffmpeg: &Path, file: &Path, track: usize) -> Result<Listening, MediaError> {
    ffmpeg::read_channels(ffmpeg, file, track, Some(MAX_HOURS * 3600), listening::listen).await
}

/// The index in `report.audio` of the track to transcribe. With one track it is 0, and nothing is decoded.
/// With several, each is decoded and the first one is taken, unless another has more than twice its speech,
/// or it has none. Where no track speaks, one with pauses is better than a steady one, and that better than
/// silence.
///
/// # Errors
/// `NoAudio`, `NotMedia`, and the tools' own. A track that cannot be decoded counts as silence if another one
/// can.
pub(crate) async fn choose(ffmpeg: &Path, source: &Path, report: &ProbeReport) -> Result<usize, MediaError> {
    match report.audio.len() {
        0 => return Err(MediaError::NoAudio),
        1 => return Ok(0),
        _ => (),
    }
    let (mut tracks, mut failure) = (Vec::new(), None);
    for track in 0..report.audio.len().min(MAX_TRACKS) {
        match listen(ffmpeg, source, track).await {
            Ok(heard) => tracks.push(rate(heard)),
            Err(error @ MediaError::NotMedia { .. }) => {
                tracks.push((Content::Silence, 0));
                failure = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (best(&tracks), failure) {
        (None, Some(error)) => Err(error),
        (chosen, _) => Ok(chosen.unwrap_or(0)),
    }
}

/// What the clearest channel carries, and its windows that sound like a voice.
fn rate(listening: Listening) -> (Content, usize) {
    let rated = listening.channels.into_iter().map(|channel| {
        let (voice, speaks) = (channel.voice_windows(), channel.speaks());
        let levels = PowerLevels::of(channel.frames);
        let content = match () {
            () if speaks => Content::Speech,
            () if levels.loudest < AUDIBLE => Content::Silence,
            () if levels.has_speech() => Content::Changing,
            () => Content::Steady,
        };
        (content, voice)
    });
    rated.max().unwrap_or((Content::Silence, 0))
}

/// The first track that is good enough. `None` if all are silent.
fn best(tracks: &[(Content, usize)]) -> Option<usize> {
    let (content, voice) = *tracks.iter().max()?;
    if content == Content::Silence {
        return None;
    }
    let is_enough = |voice_windows: usize| voice_windows as f32 >= voice as f32 * ENOUGH;
    tracks.iter().position(|track| track.0 == content && (content != Content::Speech || is_enough(track.1)))
}
