//! A whole recording, piece by piece, from wherever an earlier attempt came to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_media::sound::SAMPLE_RATE;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decoded_audio::{DecodedAudio, DecodedAudioError, seconds};
use super::engine::{AudioChunk, CallLog, Control, Engine, EngineError, RawSegment, RawTranscript};
use super::pauses::{self, FRAME};
use super::pieces;

/// A piece that was transcribed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// Its first sample in the recording.
    pub start: u64,
    /// The first sample of the next piece.
    pub end: u64,
    /// The language spoken in it, as a two- or three-letter code. Empty where the engine did not tell.
    pub language: String,
    /// With times from the start of the piece.
    pub segments: Vec<RawSegment>,
    /// What else the engine said, in its own words.
    #[serde(default)]
    pub raw: Value,
}

/// Where finished pieces are kept, for whoever goes on.
pub trait PieceStore: CallLog + Sized {
    /// What goes wrong with it, and all else that may.
    type Error: From<EngineError> + From<DecodedAudioError>;

    /// What the chunk of these samples is known by: [`AudioChunk::name`].
    fn chunk_name(&self, samples: &Range<u64>) -> String;

    /// A directory for files that are of no use afterwards.
    fn scratch(&self) -> &Path;

    /// The piece that begins at this sample of a recording, where it is finished.
    fn find_piece(
        &self,
        start: u64,
        sound: &DecodedAudio,
    ) -> impl Future<Output = Result<Option<Piece>, Self::Error>> + Send;

    /// Keeps a piece of a recording, the `number`th counted from 1. So many seconds of sound were transcribed in one by now.
    fn save_piece(
        &self,
        piece: &Piece,
        number: usize,
        speed: f64,
        sound: &DecodedAudio,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What is quieter cannot be heard: -60 dB.
const AUDIBLE: f32 = 1e-3;

/// Most of an engine's own words that are kept for a piece, in bytes of JSON. A server that tells every token of ten minutes uses a
/// third of it; seventy pieces, half a day, stay below what a transcript may have to be read.
const MAX_RAW_BYTES: usize = 512 * 1024;

/// By so much a segment's times may be wrong, in seconds.
const INEXACT_SECONDS: f64 = 1.0;

/// So much text tells its language: a minute of speech. In silence and noise an engine says anything, but not much.
const ENOUGH_BYTES: usize = 800;

/// What is there of a transcript.
#[derive(Debug, Default)]
pub struct Transcription {
    segments: Vec<RawSegment>,
    /// How much was said in each language, in bytes.
    spoken: BTreeMap<String, usize>,
    /// What the engine said of each piece in its own words.
    raw: Vec<Value>,
    /// Pieces it is made of.
    pub pieces: usize,
    /// Samples that were transcribed here; the others had been.
    pub samples: u64,
    /// Time the engine took for them.
    pub elapsed: Duration,
}

/// Transcribes what is not `kept` yet of `sound`. The control is told the share of all that is finished, and stops it.
///
/// # Errors
/// The engine's, the disk's, and those of what keeps the pieces.
pub async fn transcribe_pieces<K: PieceStore>(
    engine: &dyn Engine,
    sound: &DecodedAudio,
    control: &Control,
    store: &K,
) -> Result<Transcription, K::Error> {
    let all = sound.samples();
    let (mut heard, mut start) = (Transcription::default(), 0);
    while start < all {
        let piece = match store.find_piece(start, sound).await? {
            Some(piece) => piece,
            None => {
                let range = pieces::next_piece(sound, start, engine.max_samples()).await?;
                let (end, length) = (range.end, range.end - range.start);
                let name = store.chunk_name(&range);
                let samples = Arc::new(sound.read(range).await?);
                let part = control.part(seconds(start) / seconds(all), seconds(length) / seconds(all));
                let chunk = AudioChunk {
                    samples: &samples,
                    language: heard.language(),
                    name: &name,
                    scratch: store.scratch(),
                    call_log: store,
                };
                let begun = Instant::now();
                let raw = engine.transcribe(chunk, &part).await?;
                heard.elapsed += begun.elapsed();
                heard.samples += length;
                let (language, mut segments, raw) = (raw.language, raw.segments, bounded(raw.raw));
                Peaks::of(&samples).retain_audible(&mut segments);
                pauses::fit(&mut segments, &samples);
                let piece = Piece { start, end, language, segments, raw };
                let speed = seconds(heard.samples) / heard.elapsed.as_secs_f64().max(1e-3);
                store.save_piece(&piece, heard.pieces + 1, speed, sound).await?;
                piece
            }
        };
        start = piece.end;
        control.report(seconds(start) / seconds(all));
        heard.join(piece);
    }
    Ok(heard)
}

/// The engine's own words, unless they are so many that a transcript could not be read any more.
fn bounded(raw: Value) -> Value {
    let bytes = raw.to_string().len();
    if bytes <= MAX_RAW_BYTES { raw } else { json!({ "omitted_bytes": bytes }) }
}

/// The loudest sample of each frame.
struct Peaks(Vec<f32>);

impl Peaks {
    fn of(samples: &[f32]) -> Self {
        let peak = |frame: &[f32]| frame.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        Self(samples.chunks(FRAME).map(peak).collect())
    }

    /// Drops segments around which nothing can be heard. In silence an engine says what it was taught with: "Thank you for
    /// watching."
    fn retain_audible(&self, segments: &mut Vec<RawSegment>) {
        segments.retain(|segment| self.is_audible(segment));
    }

    fn is_audible(&self, segment: &RawSegment) -> bool {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates at both ends"
        )]
        let frame =
            |seconds: f64| ((seconds * f64::from(SAMPLE_RATE) / FRAME as f64) as usize).min(self.0.len());
        let around = frame(segment.start - INEXACT_SECONDS)..frame(segment.end + INEXACT_SECONDS);
        self.0.get(around).is_none_or(|around| around.iter().any(|peak| *peak >= AUDIBLE))
    }
}

impl Transcription {
    /// The language of what was said so far, where that is enough to tell: the next piece is in it. An engine that found out for
    /// each piece would write minutes in a language that it took the noise of a break for.
    fn language(&self) -> Option<&str> {
        let (language, bytes) = self.most_spoken()?;
        (bytes >= ENOUGH_BYTES).then_some(language)
    }

    fn most_spoken(&self) -> Option<(&str, usize)> {
        let told = self.spoken.iter().filter(|(language, _)| !language.is_empty());
        let spoken = told.map(|(language, bytes)| (language.as_str(), *bytes));
        spoken.max_by_key(|(_, bytes)| *bytes)
    }

    /// Puts a piece behind what is there. What an engine heard beyond its piece's end was not there.
    fn join(&mut self, piece: Piece) {
        let (offset, length) = (seconds(piece.start), seconds(piece.end - piece.start));
        *self.spoken.entry(piece.language).or_default() +=
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

    /// All of it, in the language of most of it.
    #[must_use]
    pub fn into_raw(self) -> RawTranscript {
        let language = self.most_spoken().map_or_else(String::new, |(language, _)| language.to_owned());
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
    fn what_is_said_in_silence_was_not_said() {
        let rate = SAMPLE_RATE as usize;
        let mut samples = vec![AUDIBLE / 2.0; 60 * rate];
        samples[20 * rate..21 * rate].fill(0.1);
        let peaks = Peaks::of(&samples);
        let said = |start: f64, end: f64| {
            peaks.is_audible(&RawSegment { start, end, text: "Thank you.".to_owned() })
        };
        assert!(said(20.2, 20.8) && said(19.0, 19.5) && said(21.9, 25.0) && said(0.0, 60.0));
        assert!(!said(0.0, 18.9) && !said(22.1, 40.0) && !said(59.0, 70.0) && !said(-5.0, -1.0));
        assert!(said(f64::NAN, 70.0), "a time that is none tells nothing");
    }

    #[test]
    fn an_engine_that_says_too_much_of_itself_is_cut_short() {
        let short = json!({ "tokens": [1, 2, 3] });
        assert_eq!(bounded(short.clone()), short);
        let long = bounded(json!({ "tokens": "x".repeat(MAX_RAW_BYTES) }));
        assert_eq!(long, json!({ "omitted_bytes": MAX_RAW_BYTES + 13 }));
    }

    #[test]
    fn the_next_piece_is_in_the_language_of_most_of_what_was_said() {
        let mut heard = Transcription::default();
        heard.join(piece(0, 16_000, "cy", &[(0.0, 1.0, &"w".repeat(ENOUGH_BYTES - 1))]));
        heard.join(piece(0, 16_000, "", &[(0.0, 1.0, &"v".repeat(2 * ENOUGH_BYTES))]));
        assert_eq!(heard.language(), None);
        heard.join(piece(16_000, 32_000, "en", &[(0.0, 1.0, &"x".repeat(ENOUGH_BYTES))]));
        assert_eq!(heard.language(), Some("en"));
    }

    #[test]
    fn pieces_stand_behind_one_another_and_none_reaches_into_the_next() {
        let mut heard = Transcription::default();
        heard.join(piece(0, 32_000, "cy", &[]));
        heard.join(piece(32_000, 64_000, "en", &[(0.5, 1.0, " One."), (1.5, 9.0, " Two.")]));
        heard.join(piece(
            64_000,
            80_000,
            "en",
            &[(-1.0, f64::NAN, " Three."), (1.0, 2.0, " Thanks for watching.")],
        ));
        assert_eq!(heard.pieces, 3);
        assert_eq!(heard.language(), None, "that was not much");
        let raw = heard.into_raw();
        let times: Vec<_> = raw.segments.iter().map(|segment| (segment.start, segment.end)).collect();
        assert_eq!(times[..2], [(2.5, 3.0), (3.5, 4.0)]);
        assert_eq!((times.len(), times[2].0, raw.language.as_str()), (3, 4.0, "en"));
        assert_eq!(raw.raw[1], json!({ "start": 2.0, "end": 4.0, "answer": { "said": 2 } }));
    }
}
