//! A downloaded recording: which track of each file, where its clock begins, and whether samples and clock
//! agree.

use std::path::{Path, PathBuf};

use crate::error::MediaError;
use crate::packet_clock::{self, Lengths, Verdict};
use crate::sound::MAX_HOURS;
use crate::{ffprobe, tracks};

/// A sound that starts later than this may be on another clock than the picture.
const LATE_SECONDS: f64 = 60.0;

/// Latest start of a sound: nothing behind it is transcribed.
const MAX_LEAD_SECONDS: f64 = MAX_HOURS as f64 * 3600.0;

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
    pub(super) runs: Vec<Run>,
}

/// One file of a recording.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) file: PathBuf,
    pub(super) track: usize,
    pub(super) channels: u32,
    pub(super) sample_rate: u32,
    pub(super) is_aac: bool,
    /// Where it begins on the recording's clock, in seconds.
    pub(super) begin: f64,
    /// Time stamp of its clock's zero, in seconds.
    pub(super) zero: f64,
    /// Seconds from its zero to its first sample.
    pub(super) lead: f64,
    /// Seconds of sound on its clock, from the first sample.
    pub(super) sound: f64,
    /// Length on the recording's clock. The picture may be longer than the sound.
    pub(super) seconds: f64,
    pub(super) is_faulty: bool,
    pub(super) is_edited: bool,
    /// Seconds of the longest jump of its clock.
    pub(super) longest_jump: f64,
    /// Length that its container announces.
    pub(super) claimed: Option<f64>,
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
        // Opus encoders leave out silence.
        Verdict::Hole | Verdict::Jump(_) if stream.codec == "opus" => false,
        Verdict::Hole => return Err(hole()),
        // Only the fragments of MPEG-4 get wrong clocks that jump forward.
        Verdict::Jump(_) if !report.is_mpeg4 => return Err(hole()),
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
        longest_jump: clock.longest_jump(),
        claimed,
    })
}
