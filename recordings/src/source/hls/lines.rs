//! The lines of a playlist.
//!
//! RFC 8216 asks for UTF-8 and LF or CRLF. Servers also send UTF-16 with a byte order mark, titles in Latin-1, and CR alone.

use std::borrow::Cow;

/// The bytes as UTF-8 where they begin with a byte order mark, which is removed. Others stay as they are.
pub(super) fn to_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let decoded = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text: String =
            char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        [0xff, 0xfe, rest @ ..] => decoded(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => decoded(rest, u16::from_be_bytes),
        _ => Cow::Borrowed(bytes),
    }
}

/// The lines that are not empty, without blanks at their ends.
///
/// In a line that is not UTF-8, each byte above 0x7f becomes `%XX`: a URI then names the bytes that the server wrote, whatever
/// their encoding.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    let lines = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).map(|line| match str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(line.iter().map(|&byte| escape(byte)).collect()),
    })
}

fn escape(byte: u8) -> Cow<'static, str> {
    if byte.is_ascii() {
        Cow::Owned(char::from(byte).to_string())
    } else {
        Cow::Owned(format!("%{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Vec<String> {
        lines(&to_utf8(bytes)).map(Cow::into_owned).collect()
    }

    #[test]
    fn lines_end_with_any_line_end_and_have_any_encoding() {
        let expected = ["#EXTM3U", "#EXTINF:5,a", "0 1.ts"];
        for text in [
            "#EXTM3U\n#EXTINF:5,a\n0 1.ts",
            "#EXTM3U\r\n#EXTINF:5,a \r\n\r\n 0 1.ts\r\n",
            "#EXTM3U\r#EXTINF:5,a\r0 1.ts\t\r",
        ] {
            assert_eq!(of(text.as_bytes()), expected, "{text:?}");
            assert_eq!(of(format!("\u{feff}{text}").as_bytes()), expected, "{text:?}");
            let units: Vec<u16> = format!("\u{feff}{text}").encode_utf16().collect();
            assert_eq!(of(&units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>()), expected);
            assert_eq!(of(&units.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<_>>()), expected);
        }
        assert_eq!(of(b"caf\xe9/0.ts\ncaf\xc3\xa9/1.ts"), ["caf%E9/0.ts", "caf\u{e9}/1.ts"]);
    }
}
