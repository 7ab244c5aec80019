//! Reads the answers of speech servers: OpenAI's `verbose_json`, whisper.cpp's format, Hugging Face's, that of
//! the previous system's server (`GET /result/{id}`), and RunPod's. The whole answer stays in
//! [`RawTranscript::raw`].

pub(crate) mod json;
mod missing_text;
mod times;
mod words;

use serde_json::Value;

use self::times::{Time, time, times, unit};
use super::gap::Gap;
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

/// Largest share of words behind the end of the sound, and most words in the padding of the last window, that
/// are taken for invented.
const INVENTED_SHARE: f64 = 0.05;
const INVENTED_WORDS: usize = 8;

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
pub(super) fn transcript(answer: Value, seconds: f64) -> Result<RawTranscript, PayloadError> {
    let Some(Parsed { language, segments, gaps }) = parse(&answer, seconds) else {
        return Err(PayloadError::NoTranscript(answer));
    };
    check_heard(&answer, &segments, seconds)?;
    let segments = inside(segments, seconds)?;
    Ok(RawTranscript { language, segments, gaps, raw: answer })
}

/// True if there are words in an answer, whatever its state.
pub(super) fn has_words(answer: &Value) -> bool {
    parse(answer, f64::MAX).is_some_and(|parsed| !parsed.segments.is_empty())
}

struct Parsed {
    language: String,
    segments: Vec<RawSegment>,
    gaps: Vec<Gap>,
}

/// The answer and the places in it that may hold the transcript.
fn places(answer: &Value) -> Vec<&Value> {
    let inner = ["/result", "/output", "/result/0", "/output/0", "/data", "/response"];
    std::iter::once(answer).chain(inner.iter().filter_map(|place| answer.pointer(place))).collect()
}

fn parse(answer: &Value, seconds: f64) -> Option<Parsed> {
    let places = places(answer);
    let plain = places[1..].iter().filter_map(|place| place.as_str());
    let texts: Vec<&str> = places.iter().flat_map(|place| texts(place)).chain(plain).collect();
    let text = texts.iter().find(|text| !text.trim().is_empty()).copied();
    let in_lists = ["segments", "transcription", "chunks"]
        .into_iter()
        .flat_map(|key| places.iter().map(move |place| list(place, key)))
        .map(|entries| segments(entries, text.unwrap_or_default(), seconds));
    let in_words =
        places.iter().map(|place| words::cues(list(place, "words"), text.unwrap_or_default(), seconds));
    let in_captions = places.iter().filter_map(|place| place.get("vtt_content")?.as_str()).map(vtt::parse);
    let found = in_lists.chain(in_words).chain(in_captions).find(|segments| !segments.is_empty());
    let (segments, gaps) = match (found, text) {
        (Some(segments), Some(text)) => missing_text::restore(segments, text, seconds),
        (Some(segments), None) => (segments, Vec::new()),
        // Text without times covers all of the sound.
        (None, Some(text)) => {
            (vec![RawSegment { start: 0.0, end: seconds, text: text.to_owned() }], Vec::new())
        }
        (None, None) => {
            let has_list = places.iter().any(|place| place.get("segments").is_some_and(Value::is_array));
            (has_list || !texts.is_empty()).then(|| (Vec::new(), Vec::new()))?
        }
    };
    let is_plausible = segments.len() as f64 <= SEGMENTS_PER_SECOND * seconds.max(1.0);
    let keys = ["language", "detected_language"];
    let codes = places.iter().flat_map(|place| keys.iter().filter_map(|key| place.get(*key)?.as_str()));
    let language = codes.filter_map(language::code).next().unwrap_or_default();
    is_plausible.then_some(Parsed { language, segments, gaps })
}

fn texts(place: &Value) -> impl Iterator<Item = &str> {
    ["transcript", "text", "transcription"].into_iter().filter_map(|key| place.get(key)?.as_str())
}

fn list<'a>(place: &'a Value, key: &str) -> &'a [Value] {
    place.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The segments of a list that have a text, and cues of the words of those that have none.
fn segments(entries: &[Value], whole_text: &str, seconds: f64) -> Vec<RawSegment> {
    let text = |entry: &Value| {
        let text = entry.get("text").and_then(Value::as_str).unwrap_or_default();
        (!text.trim().is_empty()).then(|| text.to_owned())
    };
    let timed: Vec<_> =
        entries.iter().filter_map(|entry| text(entry).map(|text| (times(entry), text))).collect();
    let unit = unit(timed.iter().flat_map(|((start, end), _)| [*start, *end]).flatten(), seconds);
    let mut found: Vec<RawSegment> = Vec::with_capacity(timed.len());
    for (at, ((start, end), text)) in timed.iter().enumerate() {
        // A segment without times lies between its neighbours.
        let before = found.last().map_or(0.0, |segment: &RawSegment| segment.end);
        let start = start.map_or(before, |time| time.seconds(unit));
        let after = || timed[at + 1..].iter().find_map(|((start, _), _)| Some(start.as_ref()?.seconds(unit)));
        let end = end.map(|time| time.seconds(unit)).or_else(after).unwrap_or(seconds);
        found.push(RawSegment { start, end: end.max(start), text: text.clone() });
    }
    let wordy = entries.iter().filter(|entry| text(entry).is_none());
    let whole_text = if timed.is_empty() { whole_text } else { "" };
    found.extend(words::cues(wordy.flat_map(|entry| list(entry, "words")), whole_text, seconds));
    found
}

/// How far a server's clock may be off for `seconds` of sound.
pub(super) fn tolerance(seconds: f64) -> f64 {
    CLOCK_SECONDS.max(CLOCK_SHARE * seconds)
}

/// Compares the length that the server reports, if any, with what it was sent.
fn check_heard(answer: &Value, segments: &[RawSegment], sent: f64) -> Result<(), PayloadError> {
    let keys = ["duration", "duration_seconds", "audio_duration", "duration_ms"];
    let reported = places(answer).into_iter().find_map(|place| {
        let time = keys.iter().find_map(|key| {
            let time = time(place.get(*key)?)?;
            Some(if *key == "duration_ms" { Time::Seconds(time.seconds(1e-3)) } else { time })
        })?;
        let seconds = time.seconds(unit([time], sent));
        Some((seconds * 1000.0).round() / 1000.0).filter(|heard| *heard > 0.0)
    });
    let Some(heard) = reported else { return Ok(()) };
    // Some servers report how long they took. Words behind that time show it.
    let last = segments.iter().map(|segment| segment.start).fold(0.0, f64::max);
    let is_length = last <= heard + tolerance(sent);
    if is_length && heard < sent - tolerance(sent) {
        return Err(PayloadError::HeardLess { sent, heard });
    }
    Ok(())
}

/// The segments that begin within the sound. One that begins a little later is moved to its last second.
fn inside(segments: Vec<RawSegment>, sent: f64) -> Result<Vec<RawSegment>, PayloadError> {
    let (within, behind): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.start < sent + tolerance(sent));
    let count =
        |segments: &[RawSegment]| segments.iter().map(|segment| tokens(&segment.text).len()).sum::<usize>();
    let last = behind.iter().map(|segment| segment.start).fold(0.0, f64::max);
    let (lost, all) = (count(&behind), count(&behind) + count(&within));
    let is_padding = last < (sent / WINDOW).ceil() * WINDOW && lost <= INVENTED_WORDS;
    if lost as f64 > INVENTED_SHARE * all as f64 && !is_padding {
        return Err(PayloadError::BehindEnd { sent, last });
    }
    let move_in = |segment: RawSegment| match segment.start < sent {
        true => segment,
        false => RawSegment { start: (sent - MOVED_SECONDS).max(0.0), end: sent, ..segment },
    };
    Ok(within.into_iter().map(move_in).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The language, and each segment as `start-end text`.
    fn shown(answer: Value) -> Option<(String, Vec<String>)> {
        let parsed = transcript(answer.clone(), 60.0).ok()?;
        assert_eq!(parsed.raw, answer, "the whole answer is kept");
        let segments = parsed.segments.iter().map(|each| format!("{}-{}{}", each.start, each.end, each.text));
        Some((parsed.language, segments.collect()))
    }

    #[test]
    fn known_formats_are_read() {
        let one = json!([{ "id": 0, "start": 0.5, "end": 2.0, "text": " One.", "avg_logprob": -0.2 }]);
        for (answer, language) in [
            (
                json!({ "task": "transcribe", "language": "english", "duration": 60.0, "text": " One.", "segments": one }),
                "en",
            ),
            (json!({ "language": "de", "segments": [], "result": { "segments": one } }), "de"),
            (
                json!({ "status": "done", "result": { "text": " One.", "segments": one, "language": "fr" } }),
                "fr",
            ),
            (
                json!({ "status": "COMPLETED", "output": { "segments": one, "detected_language": "en" } }),
                "en",
            ),
            (
                json!({ "result": { "language": "en" }, "transcription": [{ "offsets": { "from": 500, "to": 2000 }, "text": " One." }] }),
                "en",
            ),
            (
                json!({ "segments": [{ "start": "0.5", "end": " 2.0 ", "text": " One." }, { "start": 1, "end": 2, "text": " " }] }),
                "",
            ),
            (json!({ "chunks": [{ "timestamp": [0.5, 2.0], "text": " One." }], "text": " One." }), ""),
            (json!({ "output": [{ "segments": one }] }), ""),
        ] {
            assert_eq!(
                shown(answer.clone()),
                Some((language.to_owned(), vec!["0.5-2 One.".to_owned()])),
                "{answer}"
            );
        }
    }

    #[test]
    fn captions_and_then_text_replace_missing_segments() {
        let vtt = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nOne.\n";
        for (answer, expected) in [
            (json!({ "transcript": "One.", "vtt_content": vtt }), "1-2 One."),
            (json!({ "result": { "vtt_content": vtt } }), "1-2 One."),
            (json!({ "transcript": " One." }), "0-60 One."),
            (json!({ "text": " One." }), "0-60 One."),
            (json!({ "result": " One." }), "0-60 One."),
            (json!({ "result": { "text": " One." } }), "0-60 One."),
            (json!({ "output": { "transcription": " One." } }), "0-60 One."),
            (json!({ "text": " One.", "segments": [{ "id": 1 }] }), "0-60 One."),
            (json!({ "transcript": " ", "result": { "text": " One." } }), "0-60 One."),
            (json!({ "text": " One.", "vtt_content": "WEBVTT\n\n00:01.000 --> 00:02.000\n\n" }), "0-60 One."),
        ] {
            assert_eq!(shown(answer.clone()).expect("a transcript").1, [expected], "{answer}");
        }
    }

    #[test]
    fn reversed_times_are_fixed_and_missing_ones_lie_between_their_neighbours() {
        let segment = |start: Value, end: Value, text| json!({ "start": start, "end": end, "text": text });
        let answer = json!({ "segments": [
            segment(json!(2), json!(1), "a"), segment(json!("inf"), json!("nan"), "b"),
            segment(json!(4), json!(null), "c"), segment(json!(5), json!(6), "d"), segment(json!(null), json!(null), "e"),
        ] });
        assert_eq!(shown(answer).expect("a transcript").1, ["2-2a", "2-4b", "4-5c", "5-6d", "6-60e"]);
    }

    #[test]
    fn times_are_read_in_any_unit() {
        let answer = |time: &dyn Fn(u32) -> Value| {
            let segment =
                |second: u32, text| json!({ "start": time(second), "end": time(second + 3), "text": text });
            json!({ "text": "a b c", "segments": [segment(0, "a"), segment(20, "b"), segment(40, "c")] })
        };
        let nanoseconds = |second| json!(u64::from(second) * 1_000_000_000);
        for (number, answer) in [
            answer(&|second| json!(second)),
            answer(&|second| json!(u64::from(second) * 1000)),
            answer(&|second| json!(u64::from(second) * 1_000_000)),
            answer(&nanoseconds),
            answer(&|second| json!(second.to_string())),
            answer(&|second| json!(format!("{second}s"))),
            answer(&|second| json!(format!("{second}000ms"))),
            answer(&|second| json!(format!("00:00:{second:02}.000"))),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(shown(answer).expect("a transcript").1, ["0-3a", "20-23b", "40-43c"], "{number}");
        }
    }

    #[test]
    fn timed_words_replace_missing_segments() {
        let words = json!([
            { "word": "Good", "start": 0.5, "end": 1.0 }, { "word": "morning", "start": 1.0, "end": 2.0 },
            { "word": "Bye", "start": 50.0, "end": 51.0 },
        ]);
        let expected = vec!["0.5-2Good morning.", "50-51Bye."];
        for answer in [
            json!({ "text": "Good morning. Bye.", "segments": [], "words": words }),
            json!({ "result": { "text": "Good morning. Bye.", "segments": [], "words": words } }),
            json!({ "output": { "transcription": "Good morning. Bye.", "words": words } }),
            json!({ "text": "Good morning. Bye.", "segments": [{ "text": "", "words": words }] }),
        ] {
            assert_eq!(shown(answer.clone()).expect("a transcript").1, expected, "{answer}");
        }
        let mixed = json!({ "segments": [{ "text": " Hi.", "start": 30, "end": 31 }, { "text": "", "words": words }] });
        let starts: Vec<String> = shown(mixed).expect("a transcript").1;
        assert_eq!(starts, ["30-31 Hi.", "0.5-2Good morning", "50-51Bye"]);
    }

    #[test]
    fn words_of_the_text_that_no_segment_has_are_kept() {
        let answer = json!({ "text": "One two three. Four five six.", "segments": [{ "start": 0, "end": 5, "text": "One two three." }] });
        let parsed = transcript(answer, 60.0).expect("a transcript");
        assert_eq!((parsed.segments.len(), parsed.segments[1].text.as_str()), (2, "Four five six."));
        assert_eq!((parsed.gaps.len(), parsed.gaps[0].start, parsed.gaps[0].end), (1, 5.0, 60.0));
    }

    #[test]
    fn a_server_that_heard_less_than_it_was_sent_is_an_error() {
        let answer = |duration: Value, last: f64| json!({ "duration": duration, "text": "a", "segments": [{ "start": last - 1.0, "end": last, "text": "a" }] });
        let heard = |duration: Value, last| transcript(answer(duration, last), 96.0).map(|_| ());
        let short = Err(PayloadError::HeardLess { sent: 96.0, heard: 30.0 });
        for duration in [
            json!(30.0),
            json!("30.0"),
            json!("30s"),
            json!(30_000),
            json!(30_000_000_000_u64),
            json!("00:00:30"),
        ] {
            assert_eq!(heard(duration.clone(), 26.5), short, "{duration}");
        }
        assert_eq!(heard(json!(94.1), 26.5), Ok(()));
        assert!(heard(json!(93.9), 26.5).is_err());
        for unknown in
            [json!(null), json!(0), json!("0"), json!("?"), json!(-1), json!(96), json!(120), json!(96_000)]
        {
            assert_eq!(heard(unknown.clone(), 26.5), Ok(()), "{unknown}");
        }
        // The server's own time: words lie behind it.
        assert_eq!(heard(json!(30.0), 95.0), Ok(()));
        let nested = json!({ "status": "done", "result": answer(json!(30), 26.5) });
        assert_eq!(transcript(nested, 96.0).map(|_| ()), short);
        // 2 % of ten minutes.
        let long = |duration: f64| transcript(answer(json!(duration), 500.0), 600.0).is_ok();
        assert_eq!((long(588.1), long(587.9)), (true, false));
    }

    #[test]
    fn words_behind_the_end_are_moved_in_dropped_or_an_error() {
        let said = "one two three four five six seven eight nine ten";
        let answer = |start: f64, text: &str| json!({ "segments": [{ "start": 0, "end": 9, "text": said }, { "start": start, "end": start + 2.0, "text": text }] });
        let heard = |start, text| {
            let segments = transcript(answer(start, text), 50.0)?.segments;
            Ok::<_, PayloadError>(
                segments.iter().map(|segment| (segment.start, segment.end)).collect::<Vec<_>>(),
            )
        };
        assert_eq!(heard(51.0, said), Ok(vec![(0.0, 9.0), (49.0, 50.0)]), "a clock that runs fast");
        assert_eq!(heard(53.0, "Thank you."), Ok(vec![(0.0, 9.0)]), "padding");
        assert_eq!(heard(53.0, said), Err(PayloadError::BehindEnd { sent: 50.0, last: 53.0 }));
        assert_eq!(heard(80.0, "Thank you."), Err(PayloadError::BehindEnd { sent: 50.0, last: 80.0 }));
    }

    #[test]
    fn silence_is_a_transcript_and_an_unknown_answer_is_not() {
        for silent in
            [json!({ "text": "" }), json!({ "text": " ", "segments": [] }), json!({ "segments": [] })]
        {
            assert_eq!(shown(silent.clone()), Some((String::new(), Vec::new())), "{silent}");
        }
        let many = json!({ "segments": vec![json!({ "start": 0, "end": 1, "text": "a" }); 1201] });
        for strange in [
            json!({}),
            json!([]),
            json!({ "status": "done" }),
            json!({ "result": { "ok": true } }),
            json!(null),
            json!("ok"),
            many,
        ] {
            assert_eq!(shown(strange.clone()), None, "{strange}");
        }
    }
}
