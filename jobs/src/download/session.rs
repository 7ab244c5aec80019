//! From the streams of a session to the sound of all of it.
//!
//! Panopto names several streams for some sessions. The best one with sound is taken; the others fill in what
//! it leaves out, as when a recorder paused and continued in another stream. Streams without sound are left
//! alone.

use std::ops::Range;

use bedel_media::{Content, Piece, Recording, SourceFiles};
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

/// A downloaded stream.
struct Sound {
    recording: Recording,
    /// Length in seconds that its playlist announces.
    announced: Option<f64>,
    content: Content,
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
        // A stream without an end plays to the end of the session.
        let has_open_end = spans.iter().any(|span| span.end.is_none());
        let announced_seconds = session_seconds.filter(|_| is_whole || has_open_end);
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
    /// Downloads the streams that have the session's sound: the first one with a voice, or else the one most like
    /// it, and those that fill in what it leaves out.
    ///
    /// # Errors
    /// `no-audio` if none has sound; otherwise the first error of a stream that is needed.
    pub(super) async fn collect(&self) -> Result<Session, JobError> {
        let (mut opened, mut no_audio) = (Vec::new(), None);
        let mut best: Option<(Content, usize)> = None;
        for (number, stream) in self.streams.iter().enumerate() {
            let sound = match self.open(number, stream).await {
                Err(error) if error.class() == "no-audio" => {
                    no_audio.get_or_insert(error);
                    None
                }
                sound => Some(sound?),
            };
            if let Some(sound) = &sound
                && best.is_none_or(|(content, _)| sound.content > content)
            {
                best = Some((sound.content, number));
            }
            opened.push(sound);
            if best.is_some_and(|(content, _)| content == Content::Speech) {
                break;
            }
            tracing::info!(kind = stream.kind.name(), "the stream has no voice; trying the next");
        }
        // If all are silent, the probe says so.
        let Some((chosen, sound)) = best.and_then(|(_, number)| Some((number, opened[number].take()?)))
        else {
            return Err(no_audio.expect("a stream was tried"));
        };
        let spans = &self.streams[chosen].spans;
        let mut session = Session::begin(sound.recording, sound.announced, spans, self.session_seconds);
        for (number, stream) in self.streams.iter().enumerate() {
            let missing = session.missing(&stream.spans);
            let sound = match opened.get_mut(number) {
                _ if missing.is_empty() => None,
                Some(sound) => sound.take(),
                None => self.open_further(number, stream).await?,
            };
            if let Some(sound) = sound.filter(|sound| sound.content > Content::Silence) {
                tracing::info!(
                    kind = stream.kind.name(),
                    spans = missing.len(),
                    "a further stream fills the session"
                );
                session.add(sound.recording, sound.announced, &missing);
            }
        }
        Ok(session)
    }

    /// Opens a stream that may fill the session. `None` if it has no sound.
    async fn open_further(&self, number: usize, stream: &Stream) -> Result<Option<Sound>, JobError> {
        match self.open(number, stream).await {
            Err(error) if error.class() == "no-audio" => Ok(None),
            // Slides rarely have sound, and here another stream has it.
            Err(error) if error.is_fatal() && stream.kind == StreamKind::Screen => {
                tracing::warn!(
                    class = error.class(),
                    "a stream of slides could not be downloaded; it is left out"
                );
                Ok(None)
            }
            sound => sound.map(Some),
        }
    }

    /// Downloads a stream, reads its clock and listens to it.
    async fn open(&self, number: usize, stream: &Stream) -> Result<Sound, JobError> {
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
        let recording = inspect(self.env, &source, announced).await?;
        // There is no other choice.
        let content = match self.streams.len() {
            1 => Content::Speech,
            _ => self.env.media.content(&recording).await?,
        };
        Ok(Sound { recording, announced: source.announced_seconds, content })
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
