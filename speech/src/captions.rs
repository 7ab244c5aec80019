//! Cuts segments into captions that people can read.
//!
//! The limits are those of broadcasters: the BBC's Subtitle Guidelines and Netflix's Timed Text Style Guide. A cue
//! has at most two lines of 42 characters, or of 16 in Chinese, Japanese and Korean, and lasts 5/6 to 7 seconds.
//! Two frames lie between cues. A cue stays longer than its words, up to the next one, until it can be read at
//! 20 characters a second. Faster speech makes faster cues: no word is dropped.
//!
//! 1. `tokens`: words with times, taken from their share of a segment's characters.
//! 2. `layout`: the lines of a cue.
//! 3. `split`: cuts a segment where a sentence or clause ends.
//! 4. Here: joins cues that are too short, and settles their times.

mod layout;
mod limits;
mod split;
mod tokens;
mod width;

use crate::gap_captions::with_marks;
use crate::transcript::Transcript;
pub use limits::{
    CHARS_PER_SECOND, GAP_MILLISECONDS, MAX_LINE_CHARS, MAX_MILLISECONDS, MAX_WIDE_LINE_CHARS,
    MIN_MILLISECONDS,
};
use split::Draft;

/// Longest pause in milliseconds over which cues are joined.
const MAX_JOINED_PAUSE: i64 = 1000;

/// One caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// Milliseconds from the start of the recording.
    pub start: i64,
    /// Milliseconds from the start of the recording.
    pub end: i64,
    /// One or two lines.
    pub lines: Vec<String>,
}

/// The captions of a transcript, in order, without overlaps.
#[must_use]
pub fn cues(transcript: &Transcript) -> Vec<Cue> {
    let mut drafts: Vec<Draft> = Vec::new();
    for segment in tokens::of_segments(&with_marks(&transcript.segments, &transcript.gaps)) {
        drafts.extend(split::split(segment));
    }
    let joined = join_short(drafts);
    let mut cues: Vec<Cue> = joined
        .iter()
        .map(|draft| Cue { start: draft.start(), end: draft.end(), lines: layout::lines(&draft.tokens) })
        .collect();
    let reading: Vec<i64> = joined.iter().map(|draft| layout::reading_milliseconds(&draft.tokens)).collect();
    settle(&mut cues, &reading, end_of(transcript));
    cues
}

/// Where the recording ends, in milliseconds. Transcripts of other programs may not say.
fn end_of(transcript: &Transcript) -> i64 {
    let last = transcript.segments.iter().map(|segment| segment.end).fold(0.0, f64::max);
    tokens::milliseconds(transcript.duration.max(last))
}

/// Joins each cue that is too short with the nearer neighbour, if both fit into one cue.
fn join_short(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut joined: Vec<Draft> = Vec::new();
    let mut rest = drafts.into_iter().peekable();
    while let Some(draft) = rest.next() {
        // Until the next cue starts, this one can stay.
        let room =
            rest.peek().map_or(MIN_MILLISECONDS, |next| next.start() - GAP_MILLISECONDS - draft.start());
        let is_short = draft.end() - draft.start() < MIN_MILLISECONDS && room < MIN_MILLISECONDS;
        let follows_short = joined
            .last()
            .is_some_and(|last| draft.start() - GAP_MILLISECONDS - last.start() < MIN_MILLISECONDS);
        let pause_before = joined.last().map_or(i64::MAX, |last| draft.start() - last.end());
        let pause_after = rest.peek().map_or(i64::MAX, |next| next.start() - draft.end());
        let prefers_last = follows_short || pause_before <= pause_after;
        match joined.last_mut() {
            Some(last) if (is_short || follows_short) && prefers_last && can_join(last, &draft) => {
                last.append(draft)
            }
            _ => match rest.peek_mut() {
                Some(next) if is_short && can_join(&draft, next) => next.prepend(draft),
                _ => joined.push(draft),
            },
        }
    }
    joined
}

fn can_join(one: &Draft, other: &Draft) -> bool {
    other.start() - one.end() <= MAX_JOINED_PAUSE
        && other.end() - one.start() <= MAX_MILLISECONDS
        && layout::fits(one.tokens.iter().chain(&other.tokens))
}

/// Gives each cue its final times: long enough to read, not too long, with gaps, inside the recording.
fn settle(cues: &mut [Cue], reading: &[i64], end_of_recording: i64) {
    const PITCH: i64 = MIN_MILLISECONDS + GAP_MILLISECONDS;
    // Words that come too fast: a cue waits until the one before has stayed long enough.
    for at in 1..cues.len() {
        cues[at].start = cues[at].start.max(cues[at - 1].start + PITCH);
    }
    // At the end of the recording there is nothing to wait for: cues come earlier.
    let mut limit = end_of_recording.max(MIN_MILLISECONDS);
    for cue in cues.iter_mut().rev() {
        cue.start = cue.start.min(limit - MIN_MILLISECONDS);
        limit = cue.start - GAP_MILLISECONDS;
    }
    // More cues than the recording has room for: they share it.
    if cues.first().is_some_and(|first| first.start < 0) {
        let count = i64::try_from(cues.len()).unwrap_or(i64::MAX);
        for (number, cue) in (0..).zip(cues.iter_mut()) {
            (cue.start, cue.end) =
                (end_of_recording * number / count, end_of_recording * (number + 1) / count);
        }
        return;
    }
    for at in 0..cues.len() {
        let next = cues
            .get(at + 1)
            .map_or(end_of_recording.max(MIN_MILLISECONDS), |next| next.start - GAP_MILLISECONDS);
        let cue = &mut cues[at];
        let readable = cue.start + reading[at].clamp(MIN_MILLISECONDS, MAX_MILLISECONDS);
        cue.end = cue.end.max(readable).min(next).min(cue.start + MAX_MILLISECONDS);
    }
}

#[cfg(test)]
mod tests;
