//! Reads the answers of speech servers: OpenAI's `verbose_json`, whisper.cpp's format, Hugging Face's, that of
//! the previous system's server (`GET /result/{id}`), and RunPod's. The whole answer stays in
//! [`RawTranscript::raw`].

pub(crate) mod json;
mod missing_text;
#[cfg(test)]
mod tests;
mod times;
mod words;

use serde_json::Value;

use self::times::{Time, are_distinct, time, times, unit};
use super::gap::{Gap, GapReason};
use super::raw_transcript::{RawSegment, RawTranscript};
use super::tokens::tokens;
use super::{language, vtt};

/// Most segments per second of sound. Nobody speaks as many; a broken server could send millions.
const SEGMENTS_PER_SECOND: f64 = 20.0;

/// How far a server's clock may be off, in seconds and as a share of the sound; the larger of the two.
const CLOCK_SECONDS: f64 = 2.0;
const CLOCK_SHARE: f64 = 0.02;

/// Length of Whisper's window in seconds. In the padding behind the sound it may invent a sentence.
const WINDOW: f64 = 30.0;

/// Most words in the padding of the last window that are taken for invented.
const INVENTED_WORDS: usize = 8;

/// Largest share of words behind the end of the sound, beside invented ones. With more, the clock is wrong.
const MISPLACED_SHARE: f64 = 0.05;

/// Largest difference between a reported length and the end of the last segment, if a server reports that.
const SAME_END_SECONDS: f64 = 1.0;

/// Where words that begin behind the end of the sound are moved to: its last second.
pub(super) const MOVED_SECONDS: f64 = 1.0;

/// Why an answer cannot be used.
#[derive(Debug, PartialEq)]
pub(super) enum PayloadError {
    /// It has no transcript, or far too many segments.
    NoTranscript(Value),
    /// The server says that it heard less than it was sent. In seconds.
    HeardLess { sent: f64, heard: f64 },
    /// It places words behind the end of the sound: its clock is another one. In seconds.
    BehindEnd { sent: f64, last: f64 },
}

/// The transcript in an answer about `seconds` of sound. Silence gives a transcript without segments.
/// `has_speech_behind` says whether there is speech behind a second of the sound. Takes up to a second of
/// processor time for a long answer.
pub(super) fn transcript(
    answer: Value,
    seconds: f64,
    has_speech_behind: impl FnOnce(f64) -> bool,
) -> Result<RawTranscript, PayloadError> {
    let Some(Parsed { text, segments, has_times }) = parse(&answer, seconds) else {
        return Err(PayloadError::NoTranscript(answer));
    };
    let ends = segments.iter().filter(|_| has_times).map(|segment| segment.end);
    let last_end = ends.fold(0.0, f64::max);
    let (segments, mut gaps) = match text {
        Some(text) => missing_text::restore(segments, text, seconds),
        None => (segments, Vec::new()),
    };
    check_heard(&answer, &segments, last_end, seconds, has_speech_behind)?;
    let segments = inside(segments, seconds, &mut gaps)?;
    Ok(RawTranscript { language: language_of(&answer), segments, gaps, raw: answer })
}

/// True if there are words in an answer, whatever its state.
pub(super) fn has_words(answer: &Value) -> bool {
    parse(answer, f64::MAX).is_some_and(|parsed| !parsed.segments.is_empty())
}

/// True if there is a transcript in an answer, perhaps that of silence, whatever its state.
pub(super) fn has_transcript(answer: &Value) -> bool {
    parse(answer, f64::MAX).is_some()
}

/// True if an answer is a transcript without a state: it has words, or both an empty text and an empty list of
/// segments.
pub(super) fn is_bare_transcript(answer: &Value) -> bool {
    let is_silent = |place: &Value| {
        place.get("segments").is_some_and(Value::is_array) && place.get("text").is_some_and(Value::is_string)
    };
    has_words(answer) || places(answer).into_iter().any(is_silent)
}

struct Parsed<'a> {
    /// The answer's own text, unless it is all of the segments.
    text: Option<&'a str>,
    segments: Vec<RawSegment>,
    /// False if the text has no times and covers all of the sound.
    has_times: bool,
}

/// The answer and the places in it that may hold the transcript.
fn places(answer: &Value) -> Vec<&Value> {
    let inner = ["/result", "/output", "/result/0", "/output/0", "/data", "/response"];
    std::iter::once(answer).chain(inner.iter().filter_map(|place| answer.pointer(place))).collect()
}

fn parse(answer: &Value, seconds: f64) -> Option<Parsed<'_>> {
    let places = places(answer);
    let lists: Vec<&[Value]> = ["segments", "transcription", "chunks"]
        .into_iter()
        .flat_map(|key| places.iter().map(move |place| list(place, key)))
        .collect();
    let most = SEGMENTS_PER_SECOND * seconds.max(1.0);
    if lists.iter().any(|entries| entries.len() as f64 > most) {
        return None;
    }
    let plain = places[1..].iter().filter_map(|place| place.as_str());
    let texts: Vec<&str> = places.iter().flat_map(|place| texts(place)).chain(plain).collect();
    let text = texts.iter().find(|text| !text.trim().is_empty()).copied();
    let in_lists = lists.iter().map(|entries| segments(entries, text.unwrap_or_default(), seconds));
    let in_words =
        places.iter().map(|place| words::cues(list(place, "words"), text.unwrap_or_default(), seconds));
    let in_captions = places.iter().filter_map(|place| place.get("vtt_content")?.as_str()).map(vtt::parse);
    let found = in_lists.chain(in_words).chain(in_captions).find(|segments| !segments.is_empty());
    if let Some(segments) = found {
        return (segments.len() as f64 <= most).then_some(Parsed { text, segments, has_times: true });
    }
    // Text without times covers all of the sound.
    let untimed = lists.into_iter().chain(places.iter().map(|place| list(place, "words")));
    let text = text.map(str::to_owned).or_else(|| untimed.map(joined_text).find(|text| !text.is_empty()));
    let has_list = || places.iter().any(|place| place.get("segments").is_some_and(Value::is_array));
    match text {
        Some(text) => {
            let segments = vec![RawSegment { start: 0.0, end: seconds, text }];
            Some(Parsed { text: None, segments, has_times: false })
        }
        None => (has_list() || !texts.is_empty()).then(|| Parsed {
            text: None,
            segments: Vec::new(),
            has_times: false,
        }),
    }
}

fn language_of(answer: &Value) -> String {
    let keys = ["language", "detected_language"];
    let places = places(answer).into_iter();
    let mut codes = places.flat_map(|place| keys.iter().filter_map(|key| place.get(*key)?.as_str()));
    codes.find_map(language::code).unwrap_or_default()
}

fn texts(place: &Value) -> impl Iterator<Item = &str> {
    ["transcript", "text", "transcription"].into_iter().filter_map(|key| place.get(key)?.as_str())
}

fn list<'a>(place: &'a Value, key: &str) -> &'a [Value] {
    place.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text of a segment, if it has any.
fn segment_text(entry: &Value) -> Option<&str> {
    entry.get("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// The texts of a list of segments or words without times.
fn joined_text(entries: &[Value]) -> String {
    let texts = entries.iter().filter_map(|entry| segment_text(entry).or_else(|| words::word_text(entry)));
    texts.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// The segments of a list that have a text, and cues of the words of those that have none. Empty if the
/// segments have no times of their own.
fn segments(entries: &[Value], whole_text: &str, seconds: f64) -> Vec<RawSegment> {
    let all = entries.iter().filter_map(|entry| segment_text(entry).map(|text| (times(entry), text)));
    let mut timed: Vec<_> = all.collect();
    if !are_distinct(timed.iter().map(|(times, _)| *times)) {
        timed.clear();
    }
    let unit = unit(timed.iter().flat_map(|((start, end), _)| [*start, *end]).flatten(), seconds);
    // Where the next segment with a start begins, for each.
    let mut next = None;
    let mut after: Vec<Option<f64>> = Vec::with_capacity(timed.len());
    for ((start, _), _) in timed.iter().rev() {
        after.push(next);
        next = start.map(|time| time.seconds(unit)).or(next);
    }
    let mut found: Vec<RawSegment> = Vec::with_capacity(timed.len());
    for (((start, end), text), after) in timed.iter().zip(after.into_iter().rev()) {
        // A segment without times lies between its neighbours.
        let before = found.last().map_or(0.0, |segment: &RawSegment| segment.end);
        let start = start.map_or(before, |time| time.seconds(unit));
        let end = end.map(|time| time.seconds(unit)).or(after).unwrap_or(seconds);
        found.push(RawSegment { start, end: end.max(start), text: (*text).to_owned() });
    }
    let is_wordy = |entry: &&Value| timed.is_empty() || segment_text(entry).is_none();
    let whole_text = if timed.is_empty() { whole_text } else { "" };
    let words = entries.iter().filter(is_wordy).flat_map(|entry| list(entry, "words"));
    found.extend(words::cues(words, whole_text, seconds));
    found
}

/// How far a server's clock may be off for `seconds` of sound.
pub(super) fn tolerance(seconds: f64) -> f64 {
    CLOCK_SECONDS.max(CLOCK_SHARE * seconds)
}

/// Compares the length that the server reports, if any, with what it was sent. `last_end` is the latest end among
/// its own times.
fn check_heard(
    answer: &Value,
    segments: &[RawSegment],
    last_end: f64,
    sent: f64,
    has_speech_behind: impl FnOnce(f64) -> bool,
) -> Result<(), PayloadError> {
    let Some(heard) = reported_length(answer, sent) else { return Ok(()) };
    // Some servers report how long they took. Words behind that time show it.
    let last = segments.iter().map(|segment| segment.start).fold(0.0, f64::max);
    let is_length = last.max(last_end) <= heard + tolerance(sent);
    if !is_length || heard >= sent - tolerance(sent) {
        return Ok(());
    }
    // Others report the end of the last segment. Silence may follow it.
    let end = segments.iter().map(|segment| segment.end).fold(0.0, f64::max);
    if (heard - end).abs() <= SAME_END_SECONDS && !has_speech_behind(heard.max(end)) {
        return Ok(());
    }
    Err(PayloadError::HeardLess { sent, heard })
}

/// The largest length that an answer reports, to the millisecond.
fn reported_length(answer: &Value, sent: f64) -> Option<f64> {
    let keys = ["duration", "duration_seconds", "audio_duration", "duration_ms"];
    let reported = places(answer).into_iter().flat_map(|place| {
        keys.iter().filter_map(|key| {
            let time = time(place.get(*key)?)?;
            Some(if *key == "duration_ms" { Time::Seconds(time.seconds(1e-3)) } else { time })
        })
    });
    let seconds = reported.map(|time| (time.seconds(unit([time], sent)) * 1000.0).round() / 1000.0);
    seconds.filter(|heard| *heard > 0.0).max_by(f64::total_cmp)
}

/// The segments that begin within the sound. Those that begin a little later are moved to its last second. Of
/// those further behind, what Whisper invents in its padding is dropped; a few other words are moved too, and
/// marked in `gaps`.
fn inside(
    segments: Vec<RawSegment>,
    sent: f64,
    gaps: &mut Vec<Gap>,
) -> Result<Vec<RawSegment>, PayloadError> {
    let (mut within, behind): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.start < sent + tolerance(sent));
    let count =
        |segments: &[RawSegment]| segments.iter().map(|segment| tokens(&segment.text).len()).sum::<usize>();
    let last = behind.iter().map(|segment| segment.start).fold(0.0, f64::max);
    let (lost, all) = (count(&behind), count(&behind) + count(&within));
    let is_padding = last < (sent / WINDOW).ceil() * WINDOW && lost <= INVENTED_WORDS;
    if lost as f64 > MISPLACED_SHARE * all as f64 && !is_padding {
        return Err(PayloadError::BehindEnd { sent, last });
    }
    let is_lost = lost > 0 && !is_padding;
    if is_lost {
        within.extend(behind);
    }
    let mut start = 0.0_f64;
    for segment in &mut within {
        if segment.start >= sent {
            // Not in front of what was said before.
            (segment.start, segment.end) = (start.max(sent - MOVED_SECONDS), sent);
        }
        start = start.max(segment.start);
    }
    if is_lost {
        gaps.push(Gap { start, end: sent, reason: GapReason::LostWords });
    }
    Ok(within)
}
