//! The file name of a form's part, as clients send it in `Content-Disposition` (RFC 6266, RFC 7578).
//!
//! RFC 7578 wants UTF-8 in `filename`. Clients also send `filename*` (RFC 8187), beside `filename` or alone, and
//! encoded words (RFC 2047) in `filename`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The name in this header's value: `filename*` if it can be read, else `filename`.
pub(super) fn file_name(disposition: &[u8]) -> Option<String> {
    let parameters = parameters(disposition);
    let value = |name: &str| parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value);
    let extended = value("filename*").and_then(|value| extended(value));
    extended.or_else(|| value("filename").map(|value| plain(value)))
}

/// Names in lower case and values, without quotes. The disposition's type before the first semicolon is skipped.
fn parameters(disposition: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = after(disposition, b';');
    while !rest.is_empty() {
        let at = rest.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(rest.len());
        let name = String::from_utf8_lossy(&rest[..at]).trim().to_ascii_lowercase();
        if rest.get(at) != Some(&b'=') {
            rest = after(&rest[at..], b';');
            continue;
        }
        let sent = rest[at + 1..].trim_ascii_start();
        let value;
        (value, rest) = match sent.strip_prefix(b"\"") {
            Some(sent) => quoted(sent),
            None => {
                let end = sent.iter().position(|byte| *byte == b';').unwrap_or(sent.len());
                (sent[..end].trim_ascii_end().to_vec(), after(&sent[end..], b';'))
            }
        };
        found.push((name, value));
    }
    found
}

/// What follows the first `mark`.
fn after(bytes: &[u8], mark: u8) -> &[u8] {
    bytes.iter().position(|byte| *byte == mark).map_or(&[], |at| &bytes[at + 1..])
}

/// A value up to its closing quote, and what follows the next semicolon. Only `\"` and `\\` are escapes: some
/// clients send a path of Windows.
fn quoted(sent: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&byte) = sent.get(at) {
        match (byte, sent.get(at + 1)) {
            (b'"', _) => return (value, after(&sent[at..], b';')),
            (b'\\', Some(next @ (b'"' | b'\\'))) => {
                value.push(*next);
                at += 2;
            }
            _ => {
                value.push(byte);
                at += 1;
            }
        }
    }
    (value, &[])
}

/// `charset'language'percent-encoded`. None if the charset is unknown or the bytes are not of it.
fn extended(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let (charset, rest) = text.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
    decoded(charset, bytes)
}

/// `filename`: encoded words if it consists of them, else UTF-8.
fn plain(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let words: Option<Vec<String>> = text.split_ascii_whitespace().map(encoded_word).collect();
    match words {
        Some(words) if !words.is_empty() => words.concat(),
        _ => text.into_owned(),
    }
}

/// `=?charset?B|Q?text?=`. None if it is none.
fn encoded_word(word: &str) -> Option<String> {
    let mut parts = word.strip_prefix("=?")?.strip_suffix("?=")?.splitn(3, '?');
    let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    // RFC 2231 allows a language.
    let charset = charset.split('*').next().unwrap_or_default();
    let bytes = match encoding {
        "B" | "b" => STANDARD.decode(text).ok()?,
        "Q" | "q" => {
            let spaced = text.replace('%', "%25").replace('=', "%").replace('_', " ");
            percent_encoding::percent_decode_str(&spaced).collect()
        }
        _ => return None,
    };
    decoded(charset, bytes)
}

/// The charsets that RFC 8187 and its predecessor name.
fn decoded(charset: &str, bytes: Vec<u8>) -> Option<String> {
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_name(parameters: &str, name: &str) {
        let disposition = format!("form-data; name=\"file\"; {parameters}");
        assert_eq!(file_name(disposition.as_bytes()).as_deref(), Some(name), "{parameters}");
    }

    #[test]
    fn a_name_is_read_as_each_client_sends_it() {
        assert_name(r#"filename="Übung.pdf""#, "Übung.pdf");
        assert_name("filename=week-1.pdf", "week-1.pdf");
        assert_name(r#"FileName = "a;b = c.pdf" ; x=y"#, "a;b = c.pdf");
        assert_name(r#"filename="a \"b\".pdf""#, r#"a "b".pdf"#);
        assert_name(r#"filename="C:\slides\week.pdf""#, r"C:\slides\week.pdf");
        assert_name("filename*=utf-8''%C3%9Cbung.pdf", "Übung.pdf");
        assert_name("filename*=UTF-8'de'%C3%9Cbung.pdf; filename=\"Ubung.pdf\"", "Übung.pdf");
        assert_name("filename=\"Ubung.pdf\"; filename*=\"utf-8''%C3%9Cbung.pdf\"", "Übung.pdf");
        assert_name("filename*=iso-8859-1''%DCbung.pdf", "Übung.pdf");
        assert_name(r#"filename="=?utf-8?B?w5xidW5nLnBkZg==?=""#, "Übung.pdf");
        assert_name(r#"filename="=?UTF-8?Q?=C3=9Cbung_1_50%.pdf?=""#, "Übung 1 50%.pdf");
        assert_name(r#"filename="=?utf-8?B?w5xi?= =?utf-8*de?Q?ung.pdf?=""#, "Übung.pdf");
    }

    #[test]
    fn what_cannot_be_read_gives_way_to_the_plain_name() {
        assert_name("filename*=utf-8''%DC.pdf; filename=\"u.pdf\"", "u.pdf");
        assert_name("filename*=koi8-r''%DC.pdf; filename=\"u.pdf\"", "u.pdf");
        assert_name("filename*=plain.pdf; filename=\"u.pdf\"", "u.pdf");
        assert_name(r#"filename="=?utf-8?B?%%%?=""#, "=?utf-8?B?%%%?=");
        assert_name("filename=\"open.pdf", "open.pdf");
        for nothing in ["form-data", "form-data; name=\"filename=x\"", ";;;=", "form-data; filename*=x", ""] {
            assert_eq!(file_name(nothing.as_bytes()), None, "{nothing}");
        }
    }
}
