//! The engine's part: piece by piece, from wherever an earlier attempt came to.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bedel_queue::{Attempt, JobError};
use serde::Serialize;
use uuid::Uuid;

use super::finished::{Finished, Shelf};
use super::{DECODED, TRANSCRIBED};
use crate::environment::Environment;
use crate::speech::sound::seconds;
use crate::speech::{Control, Engine, RawSegment, RawTranscript, Sound, pieces};

/// What is there of a transcript.
#[derive(Debug, Default)]
pub(super) struct Heard {
    segments: Vec<RawSegment>,
    /// How much was said in each language, in bytes.
    spoken: BTreeMap<String, usize>,
    /// Pieces it is made of.
    pub(super) pieces: usize,
    /// Samples that this attempt transcribed.
    pub(super) samples: u64,
    /// Time the engine took for them.
    pub(super) elapsed: Duration,
}

/// How far a transcription is, for people and for the queue, which does not count a crash behind which it went on. What
/// a later attempt goes on from is in the storage.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Checkpoint {
    pieces: usize,
    /// Of audio that are finished.
    seconds: f64,
    /// Of audio in all.
    of: f64,
}

/// Transcribes what no attempt has transcribed yet of `sound`, which was decoded from `audio`.
pub(super) async fn listen(
    ctx: &Environment,
    attempt: &Attempt,
    lecture_id: Uuid,
    engine: &dyn Engine,
    audio: &Path,
    sound: &Sound,
) -> Result<Heard, JobError> {
    let all = sound.samples();
    // What is one piece has to be done again as a whole where it has to be done again.
    let shelf = match all > pieces::LONGEST {
        true => Some(Shelf::open(&ctx.storage, lecture_id, &engine.describe(), audio).await?),
        false => None,
    };
    let (mut heard, mut start) = (Heard::default(), 0);
    while start < all {
        let known = match &shelf {
            Some(shelf) => shelf.find(start, all).await?,
            None => None,
        };
        let piece = match known {
            Some(piece) => piece,
            None => {
                let range = pieces::piece(sound, start).await?;
                let length = range.end - range.start;
                let (from, share) = (seconds(start) / seconds(all), seconds(length) / seconds(all));
                let told = attempt.clone();
                let control = Control::new(attempt.cancellation().clone(), move |fraction| {
                    told.set_progress(DECODED + (TRANSCRIBED - DECODED) * (from + share * fraction));
                });
                let samples = sound.read(range.clone()).await?;
                let begun = Instant::now();
                let raw = engine.transcribe(samples, None, &control).await?;
                heard.elapsed += begun.elapsed();
                heard.samples += length;
                let piece =
                    Finished { start, end: range.end, language: raw.language, segments: raw.segments };
                if let Some(shelf) = &shelf {
                    attempt.check_lease().await?;
                    shelf.put(&piece).await?;
                    let (pieces, of) = (heard.pieces + 1, seconds(all));
                    attempt.save_checkpoint(&Checkpoint { pieces, seconds: seconds(piece.end), of }).await?;
                }
                piece
            }
        };
        start = piece.end;
        attempt.set_progress(DECODED + (TRANSCRIBED - DECODED) * seconds(start) / seconds(all));
        heard.join(piece);
    }
    Ok(heard)
}

impl Heard {
    /// Puts a piece behind what is there. What an engine heard beyond its piece's end was not there.
    fn join(&mut self, piece: Finished) {
        let (offset, length) = (seconds(piece.start), seconds(piece.end - piece.start));
        *self.spoken.entry(piece.language).or_default() +=
            piece.segments.iter().map(|segment| segment.text.len()).sum::<usize>();
        self.segments.extend(piece.segments.into_iter().map(|segment| RawSegment {
            start: offset + segment.start.clamp(0.0, length),
            end: offset + segment.end.clamp(0.0, length),
            text: segment.text,
        }));
        self.pieces += 1;
    }

    /// All of it, in the language of most of it: an engine finds out for each piece by itself, and in silence says anything.
    pub(super) fn into_raw(self) -> RawTranscript {
        let most = self.spoken.into_iter().max_by_key(|(_, length)| *length);
        RawTranscript {
            language: most.map_or_else(String::new, |(language, _)| language),
            segments: self.segments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u64, end: u64, language: &str, segments: &[(f64, f64, &str)]) -> Finished {
        let segments =
            segments.iter().map(|&(start, end, text)| RawSegment { start, end, text: text.to_owned() });
        Finished { start, end, language: language.to_owned(), segments: segments.collect() }
    }

    #[test]
    fn pieces_stand_behind_one_another_and_none_reaches_into_the_next() {
        let mut heard = Heard::default();
        heard.join(piece(0, 32_000, "cy", &[]));
        heard.join(piece(32_000, 64_000, "en", &[(0.5, 1.0, " One."), (1.5, 9.0, " Two.")]));
        heard.join(piece(64_000, 80_000, "en", &[(-1.0, f64::NAN, " Three.")]));
        assert_eq!(heard.pieces, 3);
        let raw = heard.into_raw();
        let times: Vec<_> = raw.segments.iter().map(|segment| (segment.start, segment.end)).collect();
        assert_eq!(times[..2], [(2.5, 3.0), (3.5, 4.0)]);
        assert_eq!((times[2].0, raw.language.as_str()), (4.0, "en"));
    }
}
