//! The time stamps of a track's packets, compared with the length of their sound.
//!
//! A file's samples and its clock can disagree: segments whose clock restarts, overlaps or jumps, and holes.
//! Decoding by the clock would then drop or move speech. Reading the packets decodes nothing and takes about
//! a second per hour of sound.

use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;

use crate::child;
use crate::conservation::{agree, tolerance};
use crate::error::MediaError;
use crate::ffmpeg;
use crate::ffprobe::{self, AudioStream};
use crate::fragments::has_fragments;

/// Steps of the clock up to this many seconds are rounding, priming of encoders and jitter. ffmpeg's
/// resampler corrects the clock from the same difference on.
const STEP_SECONDS: f64 = 0.1;

/// An edit list may hide this many seconds at the start: the priming of an encoder takes less.
const MAX_SKIPPED_SECONDS: f64 = 0.25;

/// An edit list hides at most this many seconds before what it shows next: ffmpeg decodes from a packet ahead.
const MAX_HIDDEN_SECONDS: f64 = 1.5;

/// Containers round lengths to milliseconds. A next time stamp so near is the right end of a packet.
const ROUNDING_SECONDS: f64 = 0.002;

/// Samples of one AAC packet: plain or with half the core's rate, and the short frames of broadcasters. The
/// packets' own lengths are no evidence: MPEG-4 stores the distance to the next time stamp instead.
const AAC_FRAMES: [f64; 4] = [1024.0, 2048.0, 960.0, 1920.0];

/// Largest difference between a distance of time stamps and an AAC frame, in samples: time stamps are rounded.
const AAC_ROUNDING: f64 = 24.0;

/// The clock of one track. All times are seconds by the file's own time stamps.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct PacketClock {
    /// Sum of the lengths of all packets from the first one that is heard.
    pub(super) sound: f64,
    /// Time stamp of the first packet.
    pub(super) start: f64,
    /// Latest end of a packet.
    pub(super) end: f64,
    /// Length of the packets that an edit list hides.
    pub(super) skipped: f64,
    /// True if the clock goes back or packets overlap.
    goes_back: bool,
    /// The longest jump forward: where the sound before it ends, and where the next packet begins.
    jump: Option<Range<f64>>,
}

/// What becomes of a track's clock.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// The clock is right.
    Continuous,
    /// The clock is wrong and the samples are whole: put them back to back.
    Faulty,
    /// The clock jumps forward, and nothing announced says whether sound is missing there.
    Jump(Range<f64>),
    /// The clock is right and sound is missing.
    Hole,
}

impl PacketClock {
    /// Seconds from the first time stamp to the last.
    pub(super) fn span(&self) -> f64 {
        self.end - self.start
    }

    /// True if samples and clock have the same length and the clock never goes back.
    pub(super) fn is_continuous(&self) -> bool {
        !self.goes_back && agree(self.sound, self.span())
    }

    /// Seconds of the longest jump forward.
    pub(super) fn longest_jump(&self) -> f64 {
        self.jump.as_ref().map_or(0.0, |jump| jump.end - jump.start)
    }

    /// True if an edit list hides more than the priming of an encoder.
    pub(super) fn is_edited(&self) -> bool {
        self.skipped > MAX_SKIPPED_SECONDS
    }

    /// Compares the samples, the clock and the announced length, in seconds from the first packet.
    pub(super) fn judge(&self, announced: Option<f64>) -> Verdict {
        if self.goes_back || self.sound > self.span() + tolerance(self.span()) {
            return Verdict::Faulty;
        }
        let Some(jump) = &self.jump else { return Verdict::Continuous };
        let fits = |seconds: f64| {
            let announced = announced?;
            agree(seconds, announced).then(|| (seconds - announced).abs())
        };
        let is_small = agree(self.sound, self.span());
        match (fits(self.sound), fits(self.span())) {
            (Some(samples), Some(clock)) if samples < clock => Verdict::Faulty,
            (Some(_), None) => Verdict::Faulty,
            _ if is_small => Verdict::Continuous,
            (_, Some(_)) => Verdict::Hole,
            (None, None) => Verdict::Jump(jump.clone()),
        }
    }
}

/// Reads the time stamps of all packets of a stream, named as ffprobe does (`a:0`).
pub(super) async fn scan(
    ffprobe: &Path,
    file: &Path,
    stream: &str,
    lengths: Lengths,
) -> Result<PacketClock, MediaError> {
    // ffmpeg also skips packets of fragments whose time stamps go back. Fragments have no edits.
    let has_edits = !has_fragments(file).await;
    read(ffprobe, file, stream, |stdout| async move {
        let mut reading = Reading { lengths, has_edits, ..Reading::default() };
        read_packets(stdout, |packet| reading.add(&packet)).await?;
        Ok(reading.finish())
    })
    .await
}

/// Like [`scan`], for the first audio track.
///
/// # Errors
/// `NoAudio` without one, `NotMedia`, and the tools' own.
pub(super) async fn scan_first(ffprobe: &Path, file: &Path) -> Result<PacketClock, MediaError> {
    let report = ffprobe::probe(ffprobe, file).await?;
    let lengths = Lengths::of(report.audio.first().ok_or(MediaError::NoAudio)?);
    scan(ffprobe, file, "a:0", lengths).await
}

/// True if the moving picture has a packet in the middle half of `jump`: a jump of the sound alone is a hole.
pub(super) async fn picture_continues(
    ffprobe: &Path,
    file: &Path,
    jump: &Range<f64>,
) -> Result<bool, MediaError> {
    let margin = (jump.end - jump.start) / 4.0;
    let middle = jump.start + margin..jump.end - margin;
    read(ffprobe, file, "V:0", |stdout| async move {
        let mut continues = false;
        read_packets(stdout, |packet| continues |= packet.time.is_some_and(|time| middle.contains(&time)))
            .await?;
        Ok(continues)
    })
    .await
}

async fn read<T, Output>(
    ffprobe: &Path,
    file: &Path,
    stream: &str,
    stdout: impl FnOnce(ChildStdout) -> Output,
) -> Result<T, MediaError>
where
    Output: Future<Output = std::io::Result<T>>,
{
    if tokio::fs::metadata(file).await.is_err() {
        return Err(MediaError::SourceMissing);
    }
    let mut args: Vec<OsString> =
        ["-hide_banner", "-loglevel", "error", "-select_streams", stream].map(OsString::from).into();
    args.extend(
        ["-show_entries", "packet=pts_time,dts_time,duration_time,flags", "-of", "csv=p=0"]
            .map(OsString::from),
    );
    args.extend(ffmpeg::input(file));
    let (finished, value) = child::run("ffprobe", ffprobe, &args, stdout).await?;
    // A truncated file has packets and fails; the caller compares their length with the announced one.
    if !finished.status.success() {
        tracing::debug!(reason = finished.stderr, "ffprobe could not read all packets");
    }
    Ok(value)
}

/// One packet.
#[derive(Debug, Clone, Default, PartialEq)]
struct Packet {
    time: Option<f64>,
    length: Option<f64>,
    is_skipped: bool,
}

/// Calls `add` with each packet. Lines that are no packets are left out.
async fn read_packets(stdout: ChildStdout, mut add: impl FnMut(Packet)) -> std::io::Result<()> {
    let mut lines = BufReader::with_capacity(256 * 1024, stdout).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(packet) = parse(&line) {
            add(packet);
        }
    }
    Ok(())
}

/// A line `pts_time,dts_time,duration_time,flags`. The flag `D` marks a packet that decoders skip.
fn parse(line: &str) -> Option<Packet> {
    let seconds = |text: &str| text.parse().ok().filter(|seconds: &f64| seconds.is_finite());
    let mut fields = line.split(',');
    let (pts, dts) = (seconds(fields.next()?), seconds(fields.next()?));
    let length = seconds(fields.next()?).filter(|seconds| *seconds > 0.0);
    let flags = fields.next()?;
    Some(Packet { time: pts.or(dts), length, is_skipped: flags.contains('D') })
}

/// Where the lengths of packets come from.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Lengths {
    /// From the container.
    #[default]
    Stated,
    /// From the codec, at this many samples per second.
    Aac(f64),
}

impl Lengths {
    /// Of this stream.
    pub(super) fn of(stream: &AudioStream) -> Self {
        match stream.codec.as_str() {
            "aac" if stream.sample_rate > 0 => Self::Aac(f64::from(stream.sample_rate)),
            _ => Self::Stated,
        }
    }
}

#[derive(Default)]
struct Reading {
    lengths: Lengths,
    /// True if skipped packets may be those that an edit list hides.
    has_edits: bool,
    clock: PacketClock,
    has_start: bool,
    /// Packets of unknown length.
    unmeasured: u32,
    /// Distances of time stamps, and how many fit each of [`AAC_FRAMES`].
    distances: u32,
    votes: [u32; AAC_FRAMES.len()],
    last_time: Option<f64>,
    last_length: Option<f64>,
    /// Where the next packet should begin.
    next: Option<f64>,
    /// The latest packets, if they are skipped. The next packet shows whether an edit list hides them.
    hidden: Vec<Packet>,
    /// True in a run of skipped packets that is too long for an edit list.
    hidden_is_heard: bool,
}

impl Reading {
    fn add(&mut self, packet: &Packet) {
        if packet.is_skipped && !self.has_start {
            self.clock.skipped += self.length(packet).unwrap_or_default();
            return;
        }
        if !packet.is_skipped {
            self.hidden_is_heard = false;
            // The sound continues where it was: an edit list hides what lies between.
            if packet.time.zip(self.next).is_some_and(|(time, next)| (time - next).abs() <= STEP_SECONDS) {
                self.clock.skipped += self.hidden_seconds();
                self.hidden.clear();
            }
            self.hear_hidden();
        } else if self.has_edits && !self.hidden_is_heard {
            self.hidden.push(packet.clone());
            if self.hidden_seconds() > MAX_HIDDEN_SECONDS {
                self.hidden_is_heard = true;
                self.hear_hidden();
            }
            return;
        }
        self.hear(packet);
    }

    fn length(&self, packet: &Packet) -> Option<f64> {
        match self.lengths {
            Lengths::Stated => packet.length.or(self.last_length),
            Lengths::Aac(rate) => Some(AAC_FRAMES[0] / rate),
        }
    }

    fn hidden_seconds(&self) -> f64 {
        self.hidden.iter().filter_map(|packet| self.length(packet)).sum()
    }

    fn hear_hidden(&mut self) {
        for packet in std::mem::take(&mut self.hidden) {
            self.hear(&packet);
        }
    }

    fn hear(&mut self, packet: &Packet) {
        let length = self.length(packet);
        match length {
            Some(length) => self.clock.sound += length,
            None => self.unmeasured += 1,
        }
        self.last_length = length;
        let Some(time) = packet.time else {
            self.next = self.next.zip(length).map(|(next, length)| next + length);
            return;
        };
        self.vote(time);
        self.step(time, length.unwrap_or_default());
    }

    fn step(&mut self, time: f64, length: f64) {
        let clock = &mut self.clock;
        if !self.has_start {
            (self.has_start, clock.start, clock.end) = (true, time, time);
        }
        if let Some(next) = self.next {
            if matches!(self.lengths, Lengths::Stated) && (time - next).abs() <= ROUNDING_SECONDS {
                clock.sound += time - next;
            }
            clock.goes_back |= time < next - STEP_SECONDS;
            if time - next > clock.longest_jump().max(STEP_SECONDS) {
                clock.jump = Some(next..time);
            }
        }
        clock.end = clock.end.max(time + length);
        self.next = Some(time + length);
    }

    fn vote(&mut self, time: f64) {
        if let (Lengths::Aac(rate), Some(last)) = (self.lengths, self.last_time) {
            let samples = (time - last) * rate;
            self.distances += 1;
            if let Some(frame) = AAC_FRAMES.iter().position(|frame| (samples - frame).abs() < AAC_ROUNDING) {
                self.votes[frame] += 1;
            }
        }
        self.last_time = Some(time);
    }

    /// The length of most packets. Time stamps with jitter fit several lengths, so an unusual one needs a clear
    /// majority.
    fn aac_frame(&self) -> usize {
        let is_clear =
            |frame: &usize| self.votes[*frame] * 2 > self.distances && self.votes[0] * 10 < self.distances;
        (1..AAC_FRAMES.len()).find(is_clear).unwrap_or(0)
    }

    fn finish(mut self) -> PacketClock {
        self.hear_hidden();
        let frame = self.aac_frame();
        if let Lengths::Aac(_) = self.lengths {
            self.clock.sound *= AAC_FRAMES[frame] / AAC_FRAMES[0];
        }
        match self.last_length {
            Some(length) => self.clock.sound += f64::from(self.unmeasured) * length,
            // No packet has a length: only the clock is left.
            None => self.clock.sound = self.clock.span(),
        }
        self.clock
    }
}

#[cfg(test)]
mod tests;
