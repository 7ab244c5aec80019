//! The loop over the pieces of a recording: find or transcribe each piece, store it, join the results.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_media::sound::{FRAME_SAMPLES, SAMPLE_RATE};
use serde_json::{Value, json};

use super::control::Control;
use super::decoded_audio::{DecodedAudio, seconds};
use super::engine::{AudioChunk, Engine};
use super::piece_store::{Piece, PieceStore};
use super::raw_transcript::{RawSegment, RawTranscript};
use super::{pauses, pieces};

/// Quieter samples are inaudible: -60 dB.
const AUDIBLE: f32 = 1e-3;

/// Largest engine answer stored with a piece, in bytes of JSON. A server that lists every token of ten
/// minutes uses a third of it. Seventy pieces, half a day, stay below the largest transcript that is read.
const MAX_RAW_BYTES: usize = 512 * 1024;

/// How wrong a segment's times may be, in seconds.
const INEXACT_SECONDS: f64 = 1.0;

/// Least text that reveals its language, in bytes: about a minute of speech. In silence and noise an engine
/// invents text, but not that much.
const MIN_LANGUAGE_BYTES: usize = 800;

/// The transcript of a recording, joined from its pieces.
#[derive(Debug, Default)]
pub struct Transcription {
    segments: Vec<RawSegment>,
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
    let (mut transcription, mut start) = (Transcription::default(), 0);
    while start < all {
        let piece = match store.find_piece(start, audio).await? {
            Some(piece) => piece,
            None => {
                let range = pieces::next_piece(audio, start, engine.max_samples()).await?;
                let (end, length) = (range.end, range.end - range.start);
                let name = store.chunk_name(&range);
                let samples = Arc::new(audio.read(range).await?);
                let part = control.part(seconds(start) / seconds(all), seconds(length) / seconds(all));
                let chunk = AudioChunk {
                    samples: &samples,
                    language: transcription.language(),
                    prompt: None,
                    name: &name,
                    scratch: store.scratch(),
                    call_log: store,
                };
                let begun = Instant::now();
                let raw = engine.transcribe(chunk, &part).await?;
                transcription.elapsed += begun.elapsed();
                transcription.samples += length;
                let (language, mut segments, raw) = (raw.language, raw.segments, limit_raw(raw.raw));
                Peaks::of(&samples).retain_audible(&mut segments);
                pauses::snap_to_pauses(&mut segments, &samples);
                let piece = Piece { start, end, language, segments, raw };
                let speed = seconds(transcription.samples) / transcription.elapsed.as_secs_f64().max(1e-3);
                store.save_piece(&piece, transcription.pieces + 1, speed, audio).await?;
                piece
            }
        };
        start = piece.end;
        control.report(seconds(start) / seconds(all));
        transcription.append(piece);
    }
    Ok(transcription)
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
    /// "Thank you for watching."
    fn retain_audible(&self, segments: &mut Vec<RawSegment>) {
        segments.retain(|segment| self.is_audible(segment));
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
        let around = frame(segment.start - INEXACT_SECONDS)..frame(segment.end + INEXACT_SECONDS);
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

    /// Appends a piece. Drops segments that begin behind the piece's end.
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
            self.raw.push(json!({ "start": offset, "end": offset + length, "answer": piece.raw }));
        }
        self.pieces += 1;
    }

    /// The whole transcript, in the language of most of its text.
    #[must_use]
    pub fn into_raw(self) -> RawTranscript {
        let language = self.main_language().map_or_else(String::new, |(language, _)| language.to_owned());
        RawTranscript { language, segments: self.segments, raw: Value::Array(self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u64, end: u64, language: &str, segments: &[(f64, f64, &str)]) -> Piece {
        let segments =
            segments.iter().map(|&(start, end, text)| RawSegment { start, end, text: text.to_owned() });
        let raw = json!({ "said": segments.len() });
        Piece { start, end, language: language.to_owned(), segments: segments.collect(), raw }
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
}
