//! Times in the answers of speech servers: numbers of some unit, or text.

use serde_json::Value;

/// Units of plain numbers, in seconds, the largest first.
const UNITS: [f64; 4] = [1.0, 1e-3, 1e-6, 1e-9];

/// Length of Whisper's window in seconds. Its times may reach the end of the window.
const WINDOW: f64 = 30.0;

/// Keys of a start, then of an end, in the answers of published servers.
const KEYS: [[&str; 8]; 2] = [
    ["start", "start_time", "startTime", "start_offset", "startOffset", "begin", "from", "ts"],
    ["end", "end_time", "endTime", "end_offset", "endOffset", "stop", "to", "end_ts"],
];

/// A time of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    /// A number whose unit the answer does not name.
    Plain(f64),
    Seconds(f64),
}

impl Time {
    pub(super) fn seconds(self, unit: f64) -> f64 {
        match self {
            Self::Plain(number) => number * unit,
            Self::Seconds(seconds) => seconds,
        }
    }
}

/// A finite time: `6.1`, `"6.1"`, `"6.1s"`, `"6100ms"`, `"00:00:06.100"`, `"PT6.1S"` or
/// `{"seconds": 6, "nanos": 100000000}`.
pub(super) fn time(value: &Value) -> Option<Time> {
    let time = match value {
        Value::Number(number) => Time::Plain(number.as_f64()?),
        Value::String(text) => text_time(text.trim())?,
        Value::Object(parts) => {
            let part = |key: &str| parts.get(key).and_then(time).map(|time| time.seconds(1.0));
            let (seconds, nanos) = (part("seconds"), part("nanos"));
            seconds.or(nanos)?;
            Time::Seconds(seconds.unwrap_or_default() + nanos.unwrap_or_default() * 1e-9)
        }
        _ => return None,
    };
    Some(time).filter(|time| time.seconds(1.0).is_finite())
}

fn text_time(text: &str) -> Option<Time> {
    if let Ok(number) = text.parse() {
        return Some(Time::Plain(number));
    }
    if text.contains(':') {
        let parts = text.split(':').map(|part| part.trim().replace(',', ".").parse::<f64>().ok());
        return parts.collect::<Option<Vec<_>>>().map(|parts| Time::Seconds(sexagesimal(&parts)));
    }
    let lower = text.to_ascii_lowercase();
    let (number, unit) = lower.split_at(lower.find(|character: char| character.is_alphabetic())?);
    if let Some(iso) = lower.strip_prefix("pt") {
        return iso_time(iso).map(Time::Seconds);
    }
    let unit = match unit.trim() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "ms" | "msec" | "millis" | "milliseconds" => 1e-3,
        "us" | "µs" | "μs" | "microseconds" => 1e-6,
        "ns" | "nanoseconds" => 1e-9,
        _ => return None,
    };
    Some(Time::Seconds(number.trim().parse::<f64>().ok()? * unit))
}

/// Hours, minutes and seconds; the former may be missing.
fn sexagesimal(parts: &[f64]) -> f64 {
    parts.iter().fold(0.0, |sum, part| sum * 60.0 + part)
}

/// ISO 8601: `1H2M3.5S`.
fn iso_time(mut text: &str) -> Option<f64> {
    let mut sum = 0.0;
    while let Some(at) = text.find(['h', 'm', 's']) {
        let factor = match text.as_bytes()[at] {
            b'h' => 3600.0,
            b'm' => 60.0,
            _ => 1.0,
        };
        sum += text[..at].parse::<f64>().ok()? * factor;
        text = &text[at + 1..];
    }
    text.is_empty().then_some(sum)
}

/// True if the starts and ends of some entries tell them apart. Servers without times write null, or the same
/// number for all. One entry alone may have a single time, unless it is 0.
pub(super) fn are_distinct(times: impl IntoIterator<Item = (Option<Time>, Option<Time>)>) -> bool {
    let (mut first, mut entries) = (None, 0);
    for (start, end) in times {
        entries += 1;
        for time in [start, end].into_iter().flatten() {
            if *first.get_or_insert(time) != time {
                return true;
            }
        }
    }
    entries == 1 && first.is_some_and(|time| time.seconds(1.0) > 0.0)
}

/// The start and the end of a segment or a word.
pub(super) fn times(entry: &Value) -> (Option<Time>, Option<Time>) {
    let [start, end] = [0, 1].map(|side| {
        let plain = KEYS[side].iter().find_map(|key| time(entry.get(*key)?));
        plain.or_else(|| unit_time(entry, ["start_ms", "end_ms"][side])).or_else(|| {
            // whisper.cpp's format: milliseconds, and the same as text.
            let key = ["from", "to"][side];
            let named = |place: &str| entry.get(place)?.get(key).and_then(time);
            let offset = named("offsets").map(|time| Time::Seconds(time.seconds(1e-3)));
            // Hugging Face's pipelines.
            let pair = || entry.get("timestamp")?.get(side).and_then(time);
            offset.or_else(|| named("timestamps")).or_else(pair)
        })
    });
    let end = end.or_else(|| match (start?, entry.get("duration").and_then(time)?) {
        (Time::Plain(start), Time::Plain(length)) => Some(Time::Plain(start + length)),
        (Time::Seconds(start), length) => Some(Time::Seconds(start + length.seconds(1.0))),
        (Time::Plain(_), Time::Seconds(_)) => None,
    });
    (start, end)
}

fn unit_time(entry: &Value, key: &str) -> Option<Time> {
    Some(Time::Seconds(time(entry.get(key)?)?.seconds(1e-3)))
}

/// The unit of the plain numbers among times within `seconds` of sound: the largest in which half of them
/// are at most twice as long as the sound. One unit for all, so that one wrong time changes nothing.
pub(super) fn unit(times: impl IntoIterator<Item = Time>, seconds: f64) -> f64 {
    let plain = |time| match time {
        Time::Plain(number) => Some(number),
        Time::Seconds(_) => None,
    };
    let mut numbers: Vec<f64> = times.into_iter().filter_map(plain).collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.get(numbers.len() / 2).copied().unwrap_or_default();
    let longest = 2.0 * seconds.max(WINDOW);
    UNITS.into_iter().find(|unit| middle * unit <= longest).unwrap_or(UNITS[3])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_from_numbers_and_text() {
        for (value, expected) in [
            (json!(6.1), Some(Time::Plain(6.1))),
            (json!(" 6.1 "), Some(Time::Plain(6.1))),
            (json!("6.5s"), Some(Time::Seconds(6.5))),
            (json!("6.5 seconds"), Some(Time::Seconds(6.5))),
            (json!("6500ms"), Some(Time::Seconds(6.5))),
            (json!("6500000000ns"), Some(Time::Seconds(6.5))),
            (json!("00:00:06.500"), Some(Time::Seconds(6.5))),
            (json!("00:00:06,500"), Some(Time::Seconds(6.5))),
            (json!("1:01"), Some(Time::Seconds(61.0))),
            (json!("PT1M6.5S"), Some(Time::Seconds(66.5))),
            (json!({ "seconds": "6", "nanos": 500_000_000 }), Some(Time::Seconds(6.5))),
            (json!(null), None),
            (json!("nan"), None),
            (json!("inf"), None),
            (json!("later"), None),
            (json!("1:x"), None),
            (json!(""), None),
            (json!({}), None),
        ] {
            assert_eq!(time(&value), expected, "{value}");
        }
    }

    #[test]
    fn starts_and_ends_are_found() {
        let plain = |start, end| (Some(Time::Plain(start)), Some(Time::Plain(end)));
        let exact = |start, end| (Some(Time::Seconds(start)), Some(Time::Seconds(end)));
        for (entry, expected) in [
            (json!({ "start": 1, "end": 2 }), plain(1.0, 2.0)),
            (json!({ "start_time": "1", "end_time": "2" }), plain(1.0, 2.0)),
            (json!({ "start": 1, "duration": 2 }), plain(1.0, 3.0)),
            (json!({ "start_ms": 500, "end_ms": 1500 }), exact(0.5, 1.5)),
            (json!({ "offsets": { "from": 500, "to": 2000 } }), exact(0.5, 2.0)),
            (json!({ "timestamps": { "from": "00:00:00,500", "to": "00:00:02,000" } }), exact(0.5, 2.0)),
            (json!({ "timestamp": [0.5, null] }), (Some(Time::Plain(0.5)), None)),
            (json!({ "start": null }), (None, None)),
        ] {
            assert_eq!(times(&entry), expected, "{entry}");
        }
    }

    #[test]
    fn the_unit_fits_the_length_of_the_sound() {
        for (factor, expected) in [(1.0, 1.0), (1e3, 1e-3), (1e6, 1e-6), (1e9, 1e-9)] {
            for seconds in [24.0, 600.0] {
                let times = [0.0, 0.1, 0.5, 0.9].map(|share| Time::Plain(share * seconds * factor));
                assert_eq!(unit(times, seconds), expected, "{factor} {seconds}");
            }
        }
        // Times up to the end of the window, a clock that runs a little fast, and one wrong time.
        assert_eq!(unit([Time::Plain(0.0), Time::Plain(30.0)], 2.0), 1.0);
        assert_eq!(unit([Time::Plain(0.0), Time::Plain(700.0)], 600.0), 1.0);
        assert_eq!(unit([1.0, 2.0, 3.0, 1e12].map(Time::Plain), 60.0), 1.0);
        assert_eq!(unit([], 60.0), 1.0);
    }
}
