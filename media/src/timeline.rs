//! Puts recordings on the session's clock: second N of the written audio is second N of the session.
//!
//! 1. [`plan`] cuts what the session plays into [`Part`]s, in order.
//! 2. [`write()`] copies a single whole part, and otherwise encodes: silence where nothing plays, samples back
//!    to back where the file's clock is wrong.

use std::ops::Range;
use std::path::Path;

use crate::conservation::{is_whole, tolerance};
use crate::error::MediaError;
use crate::ffmpeg::{self, Encoding, Filters};
use crate::packet_clock;
use crate::recording::{Recording, Run};

/// A shorter silence is left out: nobody hears it, and the sound can be copied.
const MIN_SILENCE_SECONDS: f64 = 0.05;

/// A shorter cut at the end is rounding: the sound ends a few packets behind the announced length.
const MIN_CUT_SECONDS: f64 = 0.5;

/// With a longer jump in its clock, a sound is not copied: ffmpeg closes long ones when it copies transport streams.
const MAX_COPIED_JUMP_SECONDS: f64 = 0.5;

/// Form of parts that differ: as the most usual camera has it.
const UNIFORM: &str = "aresample=48000,aformat=sample_fmts=s16:channel_layouts=stereo";

/// What the session plays of a recording.
#[derive(Debug, Clone)]
pub struct Piece<'a> {
    /// The recording.
    pub recording: &'a Recording,
    /// Seconds on the recording's clock. An infinite end is the recording's.
    pub span: Range<f64>,
    /// Second of the session at which it begins.
    pub at: f64,
}

/// A stretch of one file, with the silence before it.
#[derive(Debug, Clone, PartialEq)]
struct Part<'a> {
    run: &'a Run,
    /// Seconds on the file's clock, from its zero.
    span: Range<f64>,
    /// True if it ends with its file, whose length is an estimate.
    is_open: bool,
    /// Seconds of silence before it.
    silence: f64,
}

impl Part<'_> {
    /// True if the file can be copied as it is.
    fn is_whole_file(&self) -> bool {
        let run = self.run;
        run.is_aac
            && !run.is_faulty
            && !run.is_edited
            && run.longest_jump < MAX_COPIED_JUMP_SECONDS
            && run.lead < MIN_SILENCE_SECONDS
            && self.silence < MIN_SILENCE_SECONDS
            && self.span.start < MIN_SILENCE_SECONDS
            && (self.is_open || self.span.end >= run.lead + run.sound - MIN_CUT_SECONDS)
    }

    /// ffmpeg's filters, from the file's time stamps to samples without gaps. With `fill` the part gets its
    /// exact length.
    fn filters(&self, is_uniform: bool, fill: bool) -> Filters {
        let run = self.run;
        let mut filters = Vec::new();
        if run.is_faulty {
            filters.push("asetpts=N/SR/TB".to_owned());
            filters.extend(silence(run.lead));
        } else {
            filters.push(format!("asetpts=PTS-{:.6}/TB", run.zero));
            filters.push("aresample=async=1:first_pts=0".to_owned());
        }
        if !is_uniform {
            filters.push(UNIFORM.to_owned());
        }
        let end = if self.is_open { String::new() } else { format!(":end={:.6}", self.span.end) };
        filters.push(format!("atrim=start={:.6}{end},asetpts=N/SR/TB", self.span.start));
        if fill {
            let seconds = self.span.end - self.span.start;
            filters.push(format!("apad=whole_dur={seconds:.6},atrim=end={seconds:.6}"));
        }
        filters.extend(silence(self.silence));
        Filters { chain: filters.join(","), keep_all: run.is_faulty }
    }
}

/// The filter that puts silence before a sound.
fn silence(seconds: f64) -> Option<String> {
    (seconds > 0.0).then(|| format!("adelay=delays={:.3}:all=1", seconds * 1000.0))
}

/// Cuts `pieces` at the borders of files. The pieces must be in order and may not overlap.
///
/// # Errors
/// `Incomplete` where the files together have less sound than the pieces want. The end of the last one is not
/// checked: the sound may end before the picture.
fn plan<'a>(pieces: &[Piece<'a>]) -> Result<Vec<Part<'a>>, MediaError> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    let (mut session, mut missing) = (0.0, 0.0);
    let mut last_missing = 0.0;
    for piece in pieces {
        let runs = &piece.recording.runs;
        for (number, run) in runs.iter().enumerate() {
            let is_last = number + 1 == runs.len();
            let run_end = if is_last { f64::INFINITY } else { run.begin + run.seconds };
            let (start, end) = (piece.span.start.max(run.begin), piece.span.end.min(run_end));
            if start >= end {
                continue;
            }
            let at = piece.at + (start - piece.span.start);
            let sound_end = run.begin + run.lead + run.sound;
            let is_open = !end.is_finite();
            let end = if is_open { sound_end.max(start) } else { end };
            missing += last_missing;
            last_missing = (end - sound_end.max(start)).max(0.0);
            let (span, silence) = (start - run.begin..end - run.begin, (at - session).max(0.0));
            parts.push(Part { run, span, is_open, silence });
            session = at + (end - start);
        }
    }
    if parts.is_empty() {
        return Err(MediaError::NoAudio);
    }
    if missing > tolerance(session) {
        return Err(MediaError::Incomplete { announced: session, sound: session - missing });
    }
    Ok(parts)
}

/// Writes the sound of a session to `target`, as AAC in an MPEG-4 container. Parts are kept in `directory`.
///
/// # Errors
/// `NoAudio` without pieces, `Incomplete`, and the tools' own.
pub(super) async fn write(
    ffmpeg: &Path,
    ffprobe: &Path,
    pieces: &[Piece<'_>],
    directory: &Path,
    target: &Path,
) -> Result<(), MediaError> {
    let parts = plan(pieces)?;
    match parts.as_slice() {
        [part] if part.is_whole_file() => {
            ffmpeg::copy_aac(ffmpeg, &part.run.file, part.run.track, target).await?;
        }
        [part] => {
            let encoding = Encoding::Aac(part.run.channels);
            let Run { file, track, .. } = part.run;
            ffmpeg::encode(ffmpeg, file, *track, &part.filters(true, false), encoding, target).await?;
        }
        parts => join(ffmpeg, parts, directory, target).await?,
    }
    // Packets of other codecs may state a wrong length, and without a clock there is no other.
    if parts.iter().any(|part| part.run.is_faulty && !part.run.is_aac) {
        return Ok(());
    }
    let planned = parts.iter().map(|part| part.silence + part.span.end - part.span.start).sum();
    let stored = packet_clock::scan_first(ffprobe, target).await?.sound;
    if is_whole(stored, planned) {
        return Ok(());
    }
    Err(MediaError::Incomplete { announced: planned, sound: stored })
}

/// Encodes each part by itself, in the same form, and then all of them.
async fn join(ffmpeg: &Path, parts: &[Part<'_>], directory: &Path, target: &Path) -> Result<(), MediaError> {
    let form = |part: &Part<'_>| (part.run.channels, part.run.sample_rate);
    let is_uniform = parts.iter().all(|part| form(part) == form(&parts[0]));
    let mut list = String::new();
    for (number, part) in parts.iter().enumerate() {
        let (name, is_last) = (format!("part-{number:03}.flac"), number + 1 == parts.len());
        let (filters, file) = (part.filters(is_uniform, !is_last), directory.join(&name));
        ffmpeg::encode(ffmpeg, &part.run.file, part.run.track, &filters, Encoding::Flac, &file).await?;
        list += &format!("file '{name}'\n");
    }
    let list_file = directory.join("parts.txt");
    tokio::fs::write(&list_file, list).await.map_err(|error| MediaError::io("ffmpeg", &error))?;
    let channels = if is_uniform { parts[0].run.channels } else { 2 };
    ffmpeg::concatenate(ffmpeg, &list_file, Encoding::Aac(channels), target).await?;
    for number in 0..parts.len() {
        // The directory is removed with the attempt; this only makes room earlier.
        let _ = tokio::fs::remove_file(directory.join(format!("part-{number:03}.flac"))).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A recording of one file with this much sound.
    fn recording(sound: f64) -> Recording {
        let run = Run {
            file: "x.mp4".into(),
            track: 0,
            channels: 2,
            sample_rate: 48_000,
            is_aac: true,
            begin: 0.0,
            zero: 0.0,
            lead: 0.0,
            sound,
            seconds: sound,
            is_faulty: false,
            is_edited: false,
            longest_jump: 0.0,
            claimed: None,
        };
        Recording { runs: vec![run] }
    }

    fn piece(recording: &Recording, span: Range<f64>, at: f64) -> Piece<'_> {
        Piece { recording, span, at }
    }

    #[test]
    fn only_a_whole_file_from_the_start_is_copied() {
        let recording = recording(60.0);
        for (span, at, is_copied) in [
            (0.0..f64::INFINITY, 0.0, true),
            (0.0..59.8, 0.0, true),
            (0.0..50.0, 0.0, false),
            (5.0..60.0, 0.0, false),
            (0.0..60.0, 5.0, false),
        ] {
            let parts = plan(&[piece(&recording, span.clone(), at)]).expect("a plan");
            assert_eq!((parts.len(), parts[0].is_whole_file()), (1, is_copied), "{span:?} at {at}");
            assert_eq!(parts[0].silence, at);
        }
    }

    #[test]
    fn a_piece_that_ends_before_the_next_one_begins_names_both_lengths() {
        let (first, second) = (recording(60.0), recording(30.0));
        let whole = [piece(&first, 0.0..61.0, 0.0), piece(&second, 0.0..30.0, 61.0)];
        assert_eq!(plan(&whole).expect("within the tolerance").len(), 2);
        let short = [piece(&first, 0.0..70.0, 0.0), piece(&second, 0.0..30.0, 70.0)];
        let error = plan(&short).expect_err("ten seconds are missing");
        assert!(matches!(error, MediaError::Incomplete { announced: 100.0, sound: 90.0 }), "{error}");
    }
}
