//! Puts recordings on the session's clock: second N of the written audio is second N of the session.
//!
//! 1. [`inspect`] reads a recording's files: which track, where its clock begins, and whether samples and
//!    clock agree.
//! 2. [`plan`] cuts what the session plays into [`Part`]s, in order.
//! 3. [`write`] copies a single whole part, and otherwise encodes: silence where nothing plays, samples back
//!    to back where the file's clock is wrong.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::conservation::{is_whole, tolerance};
use crate::error::MediaError;
use crate::ffmpeg::{self, Encoding, Filters};
use crate::packet_clock::{self, Lengths, Verdict};
use crate::sound::MAX_HOURS;
use crate::{ffprobe, tracks};

/// A shorter silence is left out: nobody hears it, and the sound can be copied.
const MIN_SILENCE_SECONDS: f64 = 0.05;

/// A shorter cut at the end is rounding: the sound ends a few packets behind the announced length.
const MIN_CUT_SECONDS: f64 = 0.5;

/// A sound that starts later than this may be on another clock than the picture.
const LATE_SECONDS: f64 = 60.0;

/// Latest start of a sound: nothing behind it is transcribed.
const MAX_LEAD_SECONDS: f64 = MAX_HOURS as f64 * 3600.0;

/// Form of parts that differ: as the most usual camera has it.
const UNIFORM: &str = "aresample=48000,aformat=sample_fmts=s16:channel_layouts=stereo";

/// A recording as it was downloaded.
#[derive(Debug, Clone, Copy)]
pub struct SourceFiles<'a> {
    /// Its files, one after another.
    pub runs: &'a [PathBuf],
    /// True for a playlist's segments: their clock begins with the first of them.
    pub is_playlist: bool,
    /// Length in seconds, if the source announced it.
    pub announced_seconds: Option<f64>,
}

/// A recording with sound, ready for [`MediaTools::write_audio`](crate::MediaTools::write_audio).
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    runs: Vec<Run>,
}

/// One file of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) file: PathBuf,
    pub(super) track: usize,
    channels: u32,
    sample_rate: u32,
    is_aac: bool,
    /// Where it begins on the recording's clock, in seconds.
    begin: f64,
    /// Time stamp of its clock's zero, in seconds.
    zero: f64,
    /// Seconds from its zero to its first sample.
    lead: f64,
    /// Seconds of sound on its clock, from the first sample.
    sound: f64,
    /// Length on the recording's clock. The picture may be longer than the sound.
    seconds: f64,
    is_faulty: bool,
    is_edited: bool,
    /// Length that its container announces.
    claimed: Option<f64>,
}

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

impl Recording {
    /// Seconds from the zero of its clock to the end of its sound.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.runs.last().map_or(0.0, |run| run.begin + run.lead + run.sound)
    }

    /// Length in seconds that a single file's container announces. A container whose clock is wrong announces
    /// nothing.
    #[must_use]
    pub fn claimed_seconds(&self) -> Option<f64> {
        match self.runs.as_slice() {
            [run] => run.claimed,
            _ => None,
        }
    }

    /// The file and track of each run.
    pub(super) fn tracks(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.runs.iter().map(|run| (run.file.as_path(), run.track))
    }
}

/// Reads the files of a recording.
///
/// # Errors
/// `NoAudio` if a file has none, `Incomplete` where the sound has a hole, `NotMedia`, and the tools' own.
pub(super) async fn inspect(
    ffmpeg: &Path,
    ffprobe: &Path,
    source: SourceFiles<'_>,
) -> Result<Recording, MediaError> {
    let mut runs: Vec<Run> = Vec::new();
    for file in source.runs {
        let begin = runs.last().map_or(0.0, |run| run.begin + run.seconds);
        runs.push(inspect_run(ffmpeg, ffprobe, file, source, begin).await?);
    }
    if runs.is_empty() {
        return Err(MediaError::NoAudio);
    }
    Ok(Recording { runs })
}

async fn inspect_run(
    ffmpeg: &Path,
    ffprobe: &Path,
    file: &Path,
    source: SourceFiles<'_>,
    begin: f64,
) -> Result<Run, MediaError> {
    let is_one_of_several = source.runs.len() > 1;
    // What is announced is the length of all runs together.
    let announced = source.announced_seconds.filter(|seconds| seconds.is_finite() && !is_one_of_several);
    let report = ffprobe::probe(ffprobe, file).await?;
    if report.audio.is_empty() {
        return Err(MediaError::NoAudio);
    }
    let track = tracks::choose(ffmpeg, file, &report).await?;
    let stream = report.audio.get(track).ok_or(MediaError::NoAudio)?;
    let clock = packet_clock::scan(ffprobe, file, &format!("a:{track}"), Lengths::of(stream)).await?;
    let zero = if source.is_playlist { report.first_seconds } else { report.zero_seconds };
    let (mut lead, mut is_faulty) = ((clock.start - zero).max(0.0), false);
    let picture_end = match report.has_video && (is_one_of_several || lead > LATE_SECONDS) {
        true => Some(packet_clock::scan(ffprobe, file, "V:0", Lengths::Stated).await?.end - zero),
        false => None,
    };
    if lead > picture_end.unwrap_or(MAX_LEAD_SECONDS).min(MAX_LEAD_SECONDS) {
        tracing::info!(
            lead,
            "the sound would begin behind the picture; its time stamps are on another clock"
        );
        lead = 0.0;
        is_faulty = true;
    }
    let hole = || MediaError::Incomplete { announced: lead + clock.span(), sound: clock.sound };
    is_faulty |= match clock.judge(announced.map(|seconds| seconds - lead)) {
        Verdict::Continuous => false,
        Verdict::Faulty => true,
        Verdict::Hole => return Err(hole()),
        Verdict::Jump(jump) => {
            if report.has_video && packet_clock::picture_continues(ffprobe, file, &jump).await? {
                return Err(hole());
            }
            true
        }
    };
    let sound = if is_faulty { clock.sound } else { clock.span() };
    if is_faulty {
        tracing::info!(
            sound = clock.sound,
            clock = clock.span(),
            "the recording's time stamps are wrong; its samples are put back to back"
        );
    }
    let claimed = report.announced_seconds_of(track).filter(|_| !is_faulty).map(|seconds| {
        let with_lead = lead + seconds;
        report.container_seconds.map_or(with_lead, |container| with_lead.min(container.max(seconds)))
    });
    Ok(Run {
        file: file.to_owned(),
        track,
        channels: stream.channels,
        sample_rate: stream.sample_rate,
        is_aac: stream.codec == "aac",
        begin,
        zero,
        lead,
        sound,
        seconds: picture_end.filter(|_| !is_faulty).map_or(lead + sound, |end| end.max(lead + sound)),
        is_faulty,
        is_edited: clock.is_edited(),
        claimed,
    })
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
    let report = ffprobe::probe(ffprobe, target).await?;
    let lengths = Lengths::of(report.audio.first().ok_or(MediaError::NoAudio)?);
    let stored = packet_clock::scan(ffprobe, target, "a:0", lengths).await?.sound;
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
