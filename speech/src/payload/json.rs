//! Reads JSON as servers write it: with a byte order mark, NaN and infinity, and broken text.

use serde_json::Value;

/// Escape of the replacement character, for what is no character.
const REPLACEMENT: &str = "\\ufffd";

/// The value in a body. Bytes that are no UTF-8 and halves of surrogate pairs become U+FFFD; numbers that JSON
/// does not know (`NaN`, `Infinity`, `1e999`), as Python and C write them, become null. `None` if it is no JSON
/// even then.
pub(crate) fn read(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&repaired(text))).ok()
}

/// The text with everything replaced that JSON does not allow and that has an obvious meaning.
fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = match character {
            '"' => string(rest, &mut out),
            _ if character.is_ascii_alphanumeric() || "+-.".contains(character) => bare_word(rest, &mut out),
            _ => {
                out.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

/// Copies a number or literal. Returns its length in bytes.
fn bare_word(rest: &str, out: &mut String) -> usize {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "+-.".contains(character);
    let word = &rest[..rest.find(|character| !is_part(character)).unwrap_or(rest.len())];
    let is_finite = word.parse::<f64>().is_ok_and(f64::is_finite);
    // `parse` reads "nan", "inf" and "infinity" in any case, with any sign.
    let is_strange = word.parse::<f64>().is_ok() && !is_finite;
    out.push_str(if is_strange { "null" } else { word });
    word.len()
}

/// Copies a string. Returns its length in bytes.
fn string(rest: &str, out: &mut String) -> usize {
    out.push('"');
    let mut at = 1;
    while let Some(character) = rest[at..].chars().next() {
        at += character.len_utf8();
        match character {
            '"' => {
                out.push('"');
                break;
            }
            '\\' if rest[at..].starts_with('u') => at += unicode_escape(&rest[at - 1..], out) - 1,
            '\\' => {
                out.push('\\');
                if let Some(escaped) = rest[at..].chars().next() {
                    out.push(escaped);
                    at += escaped.len_utf8();
                }
            }
            other if other < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => out.push(other),
        }
    }
    at
}

/// Copies `\uXXXX` or a pair of them. Returns the length in bytes.
fn unicode_escape(rest: &str, out: &mut String) -> usize {
    const LENGTH: usize = 6;
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(rest) else {
        out.push_str("\\u");
        return 2;
    };
    let is_low = |unit: u16| (0xdc00..0xe000).contains(&unit);
    if (0xd800..0xdc00).contains(&first) && rest.get(LENGTH..).and_then(unit).is_some_and(is_low) {
        out.push_str(&rest[..2 * LENGTH]);
        return 2 * LENGTH;
    }
    let is_half = (0xd800..0xe000).contains(&first);
    out.push_str(if is_half { REPLACEMENT } else { &rest[..LENGTH] });
    LENGTH
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_that_json_forbids_are_read() {
        let cases: [(&[u8], Value); 12] = [
            (
                br#"{"p":NaN,"q":[Infinity,-Infinity,1.5],"t":"NaN or Infinity"}"#,
                json!({ "p": null, "q": [null, null, 1.5], "t": "NaN or Infinity" }),
            ),
            (br#"{"p": -nan, "q": inf}"#, json!({ "p": null, "q": null })),
            (br#"[1e999, -1e999, 1e3]"#, json!([null, null, 1e3])),
            (b"\xef\xbb\xbf{\"t\":\"a\"}", json!({ "t": "a" })),
            (b"{\"t\":\"caf\xe9 au lait\"}", json!({ "t": "caf\u{fffd} au lait" })),
            (br#"{"t":"a\ud83d b"}"#, json!({ "t": "a\u{fffd} b" })),
            (br#"{"t":"a\udca9\ud83d\udca9"}"#, json!({ "t": "a\u{fffd}\u{1f4a9}" })),
            (br#"{"t":"\\ud83d \"NaN\" \n","p":NaN}"#, json!({ "t": "\\ud83d \"NaN\" \n", "p": null })),
            (b"{\"t\":\"a\nb\"}", json!({ "t": "a\nb" })),
            (br#"{"t":true,"p":NaN,"n":null}"#, json!({ "t": true, "p": null, "n": null })),
            (br#"{"t":"\ud83d"}"#, json!({ "t": "\u{fffd}" })),
            (b" {\"t\": 1} ", json!({ "t": 1 })),
        ];
        for (body, expected) in cases {
            assert_eq!(read(body), Some(expected), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn other_bodies_are_no_json() {
        for body in [
            &b""[..],
            b"<html>",
            br#"{"t": "never ends"#,
            b"{NaN",
            br#"{"t":"\u12"}"#,
            br#"{"t":"\"#,
            b"\xff\xfe{",
        ] {
            assert_eq!(read(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
