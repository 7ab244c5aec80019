//! From the streams of a session to the sound of all of it.
//!
//! Panopto names several streams for some sessions. The best one with sound is taken; the others fill in what
//! it leaves out, as when a recorder paused and continued in another stream. Streams without sound are left
//! alone.

use std::ops::Range;

use bedel_media::{Piece, Recording, SourceFiles};
use bedel_queue::{Attempt, JobError};
use bedel_recordings::panopto::streams::{Span, Stream, StreamKind};
use bedel_recordings::source::Source;
use bedel_recordings::source::download_dir::DownloadDir;

use super::fetch;
use crate::environment::Environment;

/// A part of the session that no stream covers is worth another download from this many seconds on.
const MIN_GAP_SECONDS: f64 = 5.0;

/// The sound of a session in local files.
pub(super) struct Session {
    recordings: Vec<Recording>,
    /// In the session's order, without overlaps.
    pieces: Vec<Placed>,
    /// True if a recording's own clock is the session's.
    is_whole: bool,
    /// Length of the session's sound in seconds, if the source announces it.
    pub(super) announced_seconds: Option<f64>,
}

/// What the session plays of a recording.
#[derive(Debug, Clone, PartialEq)]
struct Placed {
    /// Index of the recording.
    recording: usize,
    span: Range<f64>,
    at: f64,
}

impl Placed {
    fn session_end(&self) -> f64 {
        self.at + self.span.end - self.span.start
    }
}

/// The streams to choose from, and where their files go.
pub(super) struct Candidates<'a> {
    pub(super) env: &'a Environment,
    pub(super) attempt: &'a Attempt,
    /// Best sound first; at least one.
    pub(super) streams: &'a [Stream],
    pub(super) directory: &'a DownloadDir,
    /// Length of the whole session in seconds, if Panopto announced it.
    pub(super) session_seconds: Option<f64>,
}

impl Session {
    /// A recording on its own clock.
    ///
    /// # Errors
    /// The job's error.
    pub(super) async fn of_source(
        env: &Environment,
        source: &Source,
        session_seconds: Option<f64>,
    ) -> Result<Self, JobError> {
        let recording = inspect(env, source, session_seconds).await?;
        Ok(Self::begin(recording, source.announced_seconds, &[], session_seconds))
    }

    /// A session with these spans of a recording. Without spans the recording should last as long as the
    /// session.
    fn begin(
        recording: Recording,
        announced: Option<f64>,
        spans: &[Span],
        session_seconds: Option<f64>,
    ) -> Self {
        let is_whole = spans.is_empty();
        let announced_seconds = session_seconds.filter(|_| is_whole);
        let mut session = Self { recordings: Vec::new(), pieces: Vec::new(), is_whole, announced_seconds };
        session.add(recording, announced, spans);
        session
    }

    /// The session's pieces for ffmpeg.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        let piece = |placed: &Placed| Piece {
            recording: &self.recordings[placed.recording],
            span: placed.span.clone(),
            at: placed.at,
        };
        self.pieces.iter().map(piece).collect()
    }

    /// Adds these spans of a recording, or all of it if there are none.
    fn add(&mut self, recording: Recording, announced: Option<f64>, spans: &[Span]) {
        let announced = announced.or(recording.claimed_seconds());
        let whole = [Span { at: 0.0, start: 0.0, end: None }];
        for span in if spans.is_empty() { &whole[..] } else { spans } {
            let end = span.end.or(announced);
            let session_end = end.map(|end| span.at + end - span.start);
            self.announced_seconds =
                [self.announced_seconds, session_end].into_iter().flatten().reduce(f64::max);
            let span_end = span.end.unwrap_or(f64::INFINITY);
            self.pieces.push(Placed {
                recording: self.recordings.len(),
                span: span.start..span_end,
                at: span.at,
            });
        }
        self.recordings.push(recording);
        self.pieces.sort_by(|a, b| a.at.total_cmp(&b.at));
        // Another recording plays from where this one's file has no more sound.
        for next in 1..self.pieces.len() {
            let at = self.pieces[next].at;
            let piece = &mut self.pieces[next - 1];
            piece.span.end = piece.span.end.min(piece.span.start + at - piece.at);
        }
    }

    /// Where the session has sound, in order.
    fn covered(&self) -> impl Iterator<Item = Range<f64>> {
        self.pieces.iter().map(|piece| {
            let sound_end = piece.at + self.recordings[piece.recording].seconds() - piece.span.start;
            piece.at..piece.session_end().min(sound_end)
        })
    }

    /// What the session plays of another stream where it has no sound yet. A recording on its own clock has the
    /// whole session.
    fn missing(&self, spans: &[Span]) -> Vec<Span> {
        if self.is_whole {
            return Vec::new();
        }
        let mut gaps = Vec::new();
        let mut end = 0.0;
        for covered in self.covered() {
            gaps.push(end..covered.start);
            end = covered.end.max(end);
        }
        gaps.push(end..f64::INFINITY);
        let cut = |span: &Span, gap: &Range<f64>| {
            let at = span.at.max(gap.start);
            let session_end = span.session_end().unwrap_or(f64::INFINITY).min(gap.end);
            let start = span.start + at - span.at;
            let end = session_end.is_finite().then_some(start + session_end - at);
            (session_end - at >= MIN_GAP_SECONDS).then_some(Span { at, start, end })
        };
        spans
            .iter()
            .flat_map(|span| gaps.iter().filter_map(|gap| cut(span, gap)).collect::<Vec<_>>())
            .collect()
    }
}

impl Candidates<'_> {
    /// Downloads the streams that have the session's sound.
    ///
    /// # Errors
    /// `no-audio` if none has sound; otherwise the first error of a stream that is needed.
    pub(super) async fn collect(&self) -> Result<Session, JobError> {
        let (mut session, mut silent, mut no_audio) = (None, None, None);
        let begin = |stream: &Stream, recording, announced| {
            Session::begin(recording, announced, &stream.spans, self.session_seconds)
        };
        for (number, stream) in self.streams.iter().enumerate() {
            match &mut session {
                None => match self.open(number, stream).await {
                    Ok((recording, announced)) => {
                        let is_last = number + 1 == self.streams.len();
                        if !is_last && self.env.media.is_silent(&recording).await? {
                            tracing::info!(
                                kind = stream.kind.name(),
                                "the stream is silent; trying the next"
                            );
                            silent.get_or_insert((stream, recording, announced));
                        } else {
                            session = Some(begin(stream, recording, announced));
                        }
                    }
                    Err(error) if error.class() == "no-audio" => {
                        no_audio.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                },
                Some(session) => self.fill(session, number, stream).await?,
            }
        }
        // Without any sound, the probe says so.
        session
            .or_else(|| silent.map(|(stream, recording, announced)| begin(stream, recording, announced)))
            .ok_or_else(|| no_audio.expect("a stream was tried"))
    }

    /// Adds what the stream has and the session has not.
    async fn fill(&self, session: &mut Session, number: usize, stream: &Stream) -> Result<(), JobError> {
        let missing = session.missing(&stream.spans);
        if missing.is_empty() {
            return Ok(());
        }
        let (recording, announced) = match self.open(number, stream).await {
            Ok(opened) => opened,
            Err(error) if error.class() == "no-audio" => return Ok(()),
            // Slides rarely have sound, and here another stream has it.
            Err(error) if error.is_fatal() && stream.kind == StreamKind::Screen => {
                tracing::warn!(
                    class = error.class(),
                    "a stream of slides could not be downloaded; it is left out"
                );
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if !self.env.media.is_silent(&recording).await? {
            tracing::info!(
                kind = stream.kind.name(),
                spans = missing.len(),
                "a further stream fills the session"
            );
            session.add(recording, announced, &missing);
        }
        Ok(())
    }

    /// Downloads a stream and reads its clock. Also returns the length that its playlist announces.
    async fn open(&self, number: usize, stream: &Stream) -> Result<(Recording, Option<f64>), JobError> {
        let url = fetch::check(self.env, stream.url.as_str())?;
        let own;
        let directory = match number {
            0 => self.directory,
            _ => {
                own = self.directory.sub_directory(&format!("stream-{number}"));
                own.as_ref().map_err(JobError::local_disk)?
            }
        };
        let source = fetch::fetch(self.env, self.attempt, &url, directory).await?;
        let announced = match stream.spans.as_slice() {
            [] => self.session_seconds,
            // A file that is played from its beginning is as long as it is played, unless its end was cut.
            [span] if span.start == 0.0 => span.end,
            _ => None,
        };
        Ok((inspect(self.env, &source, announced).await?, source.announced_seconds))
    }
}

async fn inspect(env: &Environment, source: &Source, announced: Option<f64>) -> Result<Recording, JobError> {
    let files = SourceFiles {
        runs: &source.runs,
        is_playlist: source.announced_seconds.is_some(),
        announced_seconds: source.announced_seconds.or(announced),
    };
    Ok(env.media.inspect(files).await?)
}
