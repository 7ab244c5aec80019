//! Reads the answers of speech servers: OpenAI's `verbose_json`, whisper.cpp's format, that of the previous
//! system's server (`GET /result/{id}`), and RunPod's. The whole answer stays in [`RawTranscript::raw`].

use serde_json::Value;

use super::raw_transcript::{RawSegment, RawTranscript};
use super::{language, vtt};

/// Most segments per second of sound. Nobody speaks as many; a broken server could send millions.
const SEGMENTS_PER_SECOND: f64 = 20.0;

/// The transcript in an answer about `seconds` of sound. Silence gives a transcript without segments. Returns
/// an answer without a transcript, or with far too many segments, as the error.
pub(super) fn transcript(answer: Value, seconds: f64) -> Result<RawTranscript, Value> {
    match parse(&answer, seconds) {
        Some((language, segments)) => Ok(RawTranscript { language, segments, raw: answer }),
        None => Err(answer),
    }
}

fn parse(answer: &Value, seconds: f64) -> Option<(String, Vec<RawSegment>)> {
    let inner: Vec<&Value> =
        ["/result", "/output"].iter().filter_map(|place| answer.pointer(place)).collect();
    let places: Vec<&Value> = std::iter::once(answer).chain(inner.iter().copied()).collect();
    let plain = inner.iter().filter_map(|place| place.as_str());
    let texts: Vec<&str> = places.iter().flat_map(|place| texts(place)).chain(plain).collect();
    let segments = places
        .iter()
        .flat_map(|place| [list(place, "segments"), list(place, "transcription")])
        .map(|entries| entries.iter().filter_map(segment).collect::<Vec<_>>())
        .chain(places.iter().filter_map(|place| place.get("vtt_content")?.as_str()).map(vtt::parse))
        .find(|segments| !segments.is_empty());
    let segments = match (segments, texts.iter().find(|text| !text.trim().is_empty())) {
        (Some(segments), _) => segments,
        // Text without times covers all of the sound.
        (None, Some(text)) => vec![RawSegment { start: 0.0, end: seconds, text: (*text).to_owned() }],
        (None, None) => {
            let has_list = places.iter().any(|place| place.get("segments").is_some_and(Value::is_array));
            (has_list || !texts.is_empty()).then(Vec::new)?
        }
    };
    let is_plausible = segments.len() as f64 <= SEGMENTS_PER_SECOND * seconds.max(1.0);
    let keys = ["language", "detected_language"];
    let codes = places.iter().flat_map(|place| keys.iter().filter_map(|key| place.get(*key)?.as_str()));
    let language = codes.filter_map(language::code).next().unwrap_or_default();
    is_plausible.then_some((language, segments))
}

fn texts(place: &Value) -> impl Iterator<Item = &str> {
    ["transcript", "text", "transcription"].into_iter().filter_map(|key| place.get(key)?.as_str())
}

fn list<'a>(place: &'a Value, key: &str) -> &'a [Value] {
    place.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A segment with both times and some text.
fn segment(entry: &Value) -> Option<RawSegment> {
    let text = entry.get("text")?.as_str().filter(|text| !text.trim().is_empty())?;
    let time = |key: &str| {
        entry.get(key).and_then(number).or_else(|| {
            // whisper.cpp's format, in milliseconds.
            let side = if key == "start" { "from" } else { "to" };
            Some(entry.get("offsets")?.get(side)?.as_f64()? / 1000.0)
        })
    };
    let (start, end) = (time("start")?, time("end")?);
    Some(RawSegment { start, end: end.max(start), text: text.to_owned() })
}

/// A finite number, or a string with one.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    Some(number).filter(|number: &f64| number.is_finite())
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
                json!({ "task": "transcribe", "language": "english", "duration": 3.0, "text": " One.", "segments": one }),
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
                json!({ "segments": [{ "start": "0.5", "end": " 2.0 ", "text": " One." }, { "start": null, "end": 1, "text": "x" }, { "start": 1, "end": 2, "text": " " }] }),
                "",
            ),
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
    fn reversed_times_are_fixed_and_non_numbers_dropped() {
        let answer = json!({ "segments": [{ "start": 2, "end": 1, "text": "a" }, { "start": "inf", "end": "nan", "text": "b" }] });
        assert_eq!(shown(answer).expect("a transcript").1, ["2-2a"]);
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
