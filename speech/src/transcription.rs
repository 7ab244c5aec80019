//! The loop over the pieces of a recording: find or transcribe each piece, store it, join the results.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_media::sound::{FRAME_SAMPLES, SAMPLE_RATE};
use serde_json::{Value, json};

use super::control::Control;
use super::coverage::{sample, silent_gaps};
use super::decoded_audio::{DecodedAudio, seconds};
use super::engine::{AudioChunk, Engine};
use super::engine_error::EngineError;
use super::gap::{Gap, GapReason};
use super::payload::{MOVED_SECONDS, tolerance};
use super::piece_rank::is_better;
use super::piece_store::{Piece, PieceStore};
use super::raw_transcript::{RawSegment, RawTranscript};
use super::remote::RemoteError;
use super::{pauses, pieces};

/// Quieter samples are inaudible: -60 dB.
const AUDIBLE: f32 = 1e-3;

/// Largest engine answer stored with a piece, in bytes of JSON. A server that lists every token of ten
/// minutes uses a third of it. Seventy pieces, half a day, stay below the largest transcript that is read.
const MAX_RAW_BYTES: usize = 512 * 1024;

/// How often an engine is asked for a piece that lacks words.
const MAX_REQUESTS: u32 = 2;

/// How wrong a segment's times may be, in seconds.
const INEXACT_SECONDS: f64 = 1.0;

/// Least text that reveals its language, in bytes: about a minute of speech. In silence and noise an engine
/// invents text, but not that much.
const MIN_LANGUAGE_BYTES: usize = 800;

/// The transcript of a recording, joined from its pieces.
#[derive(Debug, Default)]
pub struct Transcription {
    segments: Vec<RawSegment>,
    gaps: Vec<Gap>,
    /// Bytes of text in each language.
    text_bytes: BTreeMap<String, usize>,
    /// The engine's answer for each piece.
    raw: Vec<Value>,
    /// Number of pieces.
    pub pieces: usize,
    /// Samples transcribed by this attempt; the rest came from the store.
    pub samples: u64,
    /// Time the engine took for them.
    pub elapsed: Duration,
}

/// Transcribes every piece of `audio` that is not in `store` yet. Reports the finished share to `control`.
///
/// # Errors
/// Those of the engine, the store and the decoded audio.
pub async fn transcribe_pieces<S: PieceStore>(
    engine: &dyn Engine,
    audio: &DecodedAudio,
    control: &Control,
    store: &S,
) -> Result<Transcription, S::Error> {
    let all = audio.samples();
    let asker = Asker { engine, audio, control, store };
    let (mut transcription, mut start) = (Transcription::default(), 0);
    while start < all {
        let mut piece = match store.find_piece(start, audio).await? {
            Some(piece) => piece,
            None => {
                let range = pieces::next_piece(audio, start, engine.max_samples()).await?;
                let name = store.chunk_name(&range);
                let piece = asker.ask(range, &name, &mut transcription).await??;
                transcription.samples += piece.end - piece.start;
                store.save_piece(&piece, transcription.pieces + 1, transcription.speed(), audio).await?;
                piece
            }
        };
        if !piece.gaps.is_empty() && piece.requests < MAX_REQUESTS {
            // Stored before and after: a crash in between costs neither answer.
            piece = asker.ask_again(piece, &mut transcription).await?;
            store.save_piece(&piece, transcription.pieces + 1, transcription.speed(), audio).await?;
        }
        check_bounds(&piece, start, all)?;
        start = piece.end;
        control.report(seconds(start) / seconds(all));
        transcription.append(piece);
    }
    Ok(transcription)
}

/// The pieces follow each other, and the last ends with the recording: what was decoded is what was sent.
fn check_bounds(piece: &Piece, start: u64, all: u64) -> Result<(), EngineError> {
    match piece.start == start && (start + 1..=all).contains(&piece.end) {
        true => Ok(()),
        false => Err(EngineError::PieceBounds { start, all, piece: (piece.start, piece.end) }),
    }
}

/// What every request to the engine needs.
struct Asker<'a, S> {
    engine: &'a dyn Engine,
    audio: &'a DecodedAudio,
    control: &'a Control,
    store: &'a S,
}

impl<S: PieceStore> Asker<'_, S> {
    /// Transcribes a range of the recording. The engine's errors are in the inner result.
    async fn ask(
        &self,
        range: Range<u64>,
        name: &str,
        transcription: &mut Transcription,
    ) -> Result<Result<Piece, EngineError>, S::Error> {
        let Self { engine, audio, control, store } = self;
        let (all, Range { start, end }) = (audio.samples(), range.clone());
        let samples = Arc::new(audio.read(range).await?);
        let part = control.part(seconds(start) / seconds(all), seconds(end - start) / seconds(all));
        let chunk = AudioChunk {
            samples: &samples,
            language: transcription.language(),
            prompt: None,
            name,
            scratch: store.scratch(),
            call_log: *store,
        };
        let begun = Instant::now();
        let answer = engine.transcribe(chunk, &part).await;
        let elapsed = begun.elapsed();
        transcription.elapsed += elapsed;
        let RawTranscript { language, mut segments, mut gaps, raw } = match answer {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        Peaks::of(&samples).retain_audible(&mut segments, &gaps);
        pauses::snap_to_pauses(&mut segments, &samples);
        gaps.extend(find_silence(&segments, &samples).await?);
        gaps.sort_by(|one, other| one.start.total_cmp(&other.start));
        let raw = limit_raw(raw);
        Ok(Ok(Piece { start, end, language, segments, gaps, requests: 1, raw, raw_parts: Vec::new() }))
    }

    /// Asks once more for a piece with gaps, and returns the better one. A server gets the same samples under
    /// another name, or it would repeat its answer. An engine in this process would repeat its answer too: it
    /// gets each gap as a separate chunk.
    async fn ask_again(&self, first: Piece, transcription: &mut Transcription) -> Result<Piece, S::Error> {
        let again = match self.engine.is_remote() {
            true => self.ask_for_piece(&first, transcription).await?,
            false => self.ask_for_gaps(&first, transcription).await?,
        };
        let better = again.filter(|again| is_better(again, &first)).unwrap_or(first);
        if !better.gaps.is_empty() {
            tracing::warn!(gaps = ?better.gaps, "the transcript of a piece has gaps");
        }
        Ok(Piece { requests: MAX_REQUESTS, ..better })
    }

    /// `None` if the engine fails: the first answer is better than none.
    async fn ask_for_piece(
        &self,
        first: &Piece,
        transcription: &mut Transcription,
    ) -> Result<Option<Piece>, S::Error> {
        let range = first.start..first.end;
        let name = format!("{}-again", self.store.chunk_name(&range));
        match self.ask(range, &name, transcription).await? {
            Ok(piece) => Ok(Some(piece)),
            Err(error) if ends_attempt(&error) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the second request for a piece with gaps failed");
                Ok(None)
            }
        }
    }

    /// Fills the gaps with what the engine returns for each alone.
    async fn ask_for_gaps(
        &self,
        first: &Piece,
        transcription: &mut Transcription,
    ) -> Result<Option<Piece>, S::Error> {
        let mut filled = first.clone();
        for gap in &first.gaps {
            let [start, end] =
                [gap.start, gap.end].map(|at| (first.start + sample(at) as u64).min(first.end));
            let name = self.store.chunk_name(&(start..end));
            let part = self.ask(start..end, &name, transcription).await??;
            if part.segments.is_empty() {
                continue;
            }
            // A loop or a blank, which is dropped later.
            filled.segments.retain(|segment| !(gap.start..gap.end).contains(&segment.start));
            let offset = seconds(start - first.start);
            filled.segments.extend(part.segments.into_iter().map(|segment| RawSegment {
                start: offset + segment.start,
                end: offset + segment.end,
                ..segment
            }));
            filled.raw_parts.push(raw_part(seconds(start), seconds(end), part.raw));
        }
        filled.segments.sort_by(|one, other| one.start.total_cmp(&other.start));
        let samples = Arc::new(self.audio.read(first.start..first.end).await?);
        filled.gaps = find_silence(&filled.segments, &samples).await?;
        Ok(Some(filled))
    }
}

/// [`silent_gaps`], off the async threads.
async fn find_silence(segments: &[RawSegment], samples: &Arc<Vec<f32>>) -> Result<Vec<Gap>, EngineError> {
    let (segments, samples) = (segments.to_vec(), Arc::clone(samples));
    let found = tokio::task::spawn_blocking(move || silent_gaps(&segments, &samples));
    found.await.map_err(|error| EngineError::Failed(error.to_string()))
}

/// True for an error after which the same request may be made later at no cost, or none may be made at all.
fn ends_attempt(error: &EngineError) -> bool {
    let EngineError::Remote(error) = error else {
        return matches!(error, EngineError::Cancelled | EngineError::CallLog(_));
    };
    use RemoteError::{Busy, StillRunning, Unreachable};
    matches!(error, Unreachable { .. } | Busy { .. } | StillRunning { .. })
}

/// An entry of [`Transcript::raw`](crate::Transcript::raw).
fn raw_part(start: f64, end: f64, answer: Value) -> Value {
    json!({ "start": start, "end": end, "answer": answer })
}

/// The engine's answer, or only its size if it would make the transcript too large to read.
fn limit_raw(raw: Value) -> Value {
    let mut bytes = ByteCount(0);
    serde_json::to_writer(&mut bytes, &raw).expect("a count takes any JSON");
    if bytes.0 <= MAX_RAW_BYTES { raw } else { json!({ "omitted_bytes": bytes.0 }) }
}

/// Counts what is written, and keeps nothing.
struct ByteCount(usize);

impl io::Write for ByteCount {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0 += buffer.len();
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The loudest sample of each frame.
struct Peaks(Vec<f32>);

impl Peaks {
    fn of(samples: &[f32]) -> Self {
        let peak = |frame: &[f32]| frame.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        Self(samples.chunks(FRAME_SAMPLES).map(peak).collect())
    }

    /// Drops segments with nothing audible around them. In silence an engine repeats its training data:
    /// "Thank you for watching." Words with estimated times, in `gaps`, were spoken elsewhere.
    fn retain_audible(&self, segments: &mut Vec<RawSegment>, gaps: &[Gap]) {
        let is_estimated = |segment: &RawSegment| {
            gaps.iter()
                .any(|gap| gap.reason == GapReason::LostWords && gap.covers(segment.start, segment.end))
        };
        segments.retain(|segment| is_estimated(segment) || self.is_audible(segment));
    }

    fn is_audible(&self, segment: &RawSegment) -> bool {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates at both ends"
        )]
        let frame = |seconds: f64| {
            ((seconds * f64::from(SAMPLE_RATE) / FRAME_SAMPLES as f64) as usize).min(self.0.len())
        };
        // Up to the last frame, which may be shorter.
        let length = (self.0.len().saturating_sub(1) * FRAME_SAMPLES) as f64 / f64::from(SAMPLE_RATE);
        // Words behind the end, as of a clock that runs fast, were moved to the last second.
        let is_last = segment.start >= length - MOVED_SECONDS;
        let early = if is_last { tolerance(length) + MOVED_SECONDS } else { INEXACT_SECONDS };
        let around = frame(segment.start - early)..frame(segment.end + INEXACT_SECONDS);
        self.0.get(around).is_none_or(|around| around.iter().any(|peak| *peak >= AUDIBLE))
    }
}

impl Transcription {
    /// The language for the next piece, once enough text was spoken. An engine that detects it for each piece
    /// writes minutes in a language that it took the noise of a break for.
    fn language(&self) -> Option<&str> {
        let (language, bytes) = self.main_language()?;
        (bytes >= MIN_LANGUAGE_BYTES).then_some(language)
    }

    fn main_language(&self) -> Option<(&str, usize)> {
        let known = self.text_bytes.iter().filter(|(language, _)| !language.is_empty());
        known.map(|(language, bytes)| (language.as_str(), *bytes)).max_by_key(|(_, bytes)| *bytes)
    }

    /// Seconds of sound transcribed per second so far.
    fn speed(&self) -> f64 {
        seconds(self.samples) / self.elapsed.as_secs_f64().max(1e-3)
    }

    /// Appends a piece. Drops segments that begin behind the piece's end: Whisper invents them in the padding
    /// of its last window. Those of servers were checked in `payload`.
    fn append(&mut self, piece: Piece) {
        let (offset, length) = (seconds(piece.start), seconds(piece.end - piece.start));
        *self.text_bytes.entry(piece.language).or_default() +=
            piece.segments.iter().map(|segment| segment.text.len()).sum::<usize>();
        let inside = piece.segments.into_iter().filter(|segment| segment.start < length);
        self.segments.extend(inside.map(|segment| RawSegment {
            start: offset + segment.start.clamp(0.0, length),
            end: offset + segment.end.clamp(0.0, length),
            text: segment.text,
        }));
        if !piece.raw.is_null() {
            self.raw.push(raw_part(offset, offset + length, piece.raw));
        }
        self.raw.extend(piece.raw_parts);
        self.gaps.extend(piece.gaps.into_iter().map(|gap| gap.moved(offset, length)));
        self.pieces += 1;
    }

    /// The whole transcript, in the language of most of its text.
    #[must_use]
    pub fn into_raw(self) -> RawTranscript {
        let language = self.main_language().map_or_else(String::new, |(language, _)| language.to_owned());
        RawTranscript { language, segments: self.segments, gaps: self.gaps, raw: Value::Array(self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u64, end: u64, language: &str, segments: &[(f64, f64, &str)]) -> Piece {
        let segments =
            segments.iter().map(|&(start, end, text)| RawSegment { start, end, text: text.to_owned() });
        let raw = json!({ "said": segments.len() });
        let (segments, language) = (segments.collect(), language.to_owned());
        Piece { start, end, language, segments, gaps: Vec::new(), requests: 1, raw, raw_parts: Vec::new() }
    }

    #[test]
    fn segments_in_silence_are_dropped() {
        let rate = SAMPLE_RATE as usize;
        let mut samples = vec![AUDIBLE / 2.0; 60 * rate];
        samples[20 * rate..21 * rate].fill(0.1);
        let peaks = Peaks::of(&samples);
        let is_audible = |start: f64, end: f64| {
            peaks.is_audible(&RawSegment { start, end, text: "Thank you.".to_owned() })
        };
        assert!(
            is_audible(20.2, 20.8)
                && is_audible(19.0, 19.5)
                && is_audible(21.9, 25.0)
                && is_audible(0.0, 60.0)
        );
        assert!(
            !is_audible(0.0, 18.9)
                && !is_audible(22.1, 40.0)
                && !is_audible(59.0, 70.0)
                && !is_audible(-5.0, -1.0)
        );
        assert!(is_audible(f64::NAN, 70.0), "a segment without a start is kept");
    }

    #[test]
    fn words_with_estimated_times_are_kept_in_silence() {
        let rate = SAMPLE_RATE as usize;
        let mut samples = vec![0.0; 60 * rate + 7];
        samples[20 * rate..57 * rate].fill(0.1);
        let peaks = Peaks::of(&samples);
        let segment = |start: f64, end: f64| RawSegment { start, end, text: "Bye.".to_owned() };
        // The third was spoken at 56 s, and moved from 61 s to the last second.
        let mut segments =
            vec![segment(0.0, 9.0), segment(10.0, 15.0), segment(59.0, 60.0), segment(58.5, 60.0)];
        let gap = Gap { start: 0.0, end: 9.0, reason: GapReason::LostWords };
        let silent = Gap { start: 10.0, end: 15.0, reason: GapReason::NoWords };
        peaks.retain_audible(&mut segments, &[gap, silent]);
        assert_eq!(segments, [segment(0.0, 9.0), segment(59.0, 60.0)]);
    }

    #[test]
    fn a_huge_engine_answer_is_replaced_by_its_size() {
        let short = json!({ "tokens": [1, 2, 3] });
        assert_eq!(limit_raw(short.clone()), short);
        let long = limit_raw(json!({ "tokens": "x".repeat(MAX_RAW_BYTES) }));
        assert_eq!(long, json!({ "omitted_bytes": MAX_RAW_BYTES + 13 }));
    }

    #[test]
    fn the_next_piece_gets_the_language_of_most_text() {
        let mut transcription = Transcription::default();
        transcription.append(piece(0, 16_000, "cy", &[(0.0, 1.0, &"w".repeat(MIN_LANGUAGE_BYTES - 1))]));
        transcription.append(piece(0, 16_000, "", &[(0.0, 1.0, &"v".repeat(2 * MIN_LANGUAGE_BYTES))]));
        assert_eq!(transcription.language(), None);
        transcription.append(piece(16_000, 32_000, "en", &[(0.0, 1.0, &"x".repeat(MIN_LANGUAGE_BYTES))]));
        assert_eq!(transcription.language(), Some("en"));
    }

    #[test]
    fn pieces_follow_each_other_without_overlap() {
        let mut transcription = Transcription::default();
        transcription.append(piece(0, 32_000, "cy", &[]));
        transcription.append(piece(32_000, 64_000, "en", &[(0.5, 1.0, " One."), (1.5, 9.0, " Two.")]));
        transcription.append(piece(
            64_000,
            80_000,
            "en",
            &[(-1.0, f64::NAN, " Three."), (1.0, 2.0, " Thanks for watching.")],
        ));
        assert_eq!(transcription.pieces, 3);
        assert_eq!(transcription.language(), None, "too little text");
        let raw = transcription.into_raw();
        let times: Vec<_> = raw.segments.iter().map(|segment| (segment.start, segment.end)).collect();
        assert_eq!(times[..2], [(2.5, 3.0), (3.5, 4.0)]);
        assert_eq!((times.len(), times[2].0, raw.language.as_str()), (3, 4.0, "en"));
        assert_eq!(raw.raw[1], json!({ "start": 2.0, "end": 4.0, "answer": { "said": 2 } }));
    }
    #[test]
    fn gaps_move_to_the_clock_of_the_recording() {
        let mut transcription = Transcription::default();
        let gap = Gap { start: 0.5, end: 9.0, reason: GapReason::NoWords };
        transcription.append(Piece { gaps: vec![gap], ..piece(32_000, 64_000, "en", &[]) });
        assert_eq!(transcription.into_raw().gaps, [Gap { start: 2.5, end: 4.0, ..gap }]);
    }

    #[test]
    fn pieces_that_leave_a_hole_are_an_error() {
        check_bounds(&piece(0, 16_000, "", &[]), 0, 16_000).unwrap();
        for (start, end) in [(1, 16_000), (0, 0), (0, 16_001)] {
            let error = check_bounds(&piece(start, end, "", &[]), 0, 16_000).unwrap_err();
            assert!(error.to_string().contains("16000"), "{error}");
        }
    }
}
