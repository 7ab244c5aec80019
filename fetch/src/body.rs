//! The kind of a body, by its first bytes.
//!
//! Names and `Content-Type` cannot be trusted: Panopto serves playlists as `.panobf2`, and a sign-in page comes with status
//! 200. Only bytes that begin like a known container count as media, so text (a playlist, a list of files to join) cannot
//! reach ffmpeg under a false name.

/// First bytes that [`sniff`] needs. A short body may have fewer.
pub const HEAD_BYTES: usize = 16 * 1024;

/// The kind of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// A media container or an audio stream.
    Media,
    /// A page that asks for a login.
    Login,
    /// Any other page.
    Html,
    /// JSON.
    Json,
    /// An HLS playlist, of variants or of segments.
    Hls,
    /// A DASH manifest.
    Dash,
    /// A feed, such as a folder's podcast.
    Feed,
    /// Media cut into the chunks of an S3 upload (`aws-chunked`), which their server stored as they came.
    AwsChunks,
    /// No bytes.
    Empty,
    /// None of these.
    Other,
}

impl BodyKind {
    /// For messages: "sent … instead of a recording".
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Media => "a media file",
            Self::Login => "a login page",
            Self::Html => "a web page",
            Self::Json => "a JSON document",
            Self::Hls => "a playlist",
            Self::Dash => "a DASH manifest",
            Self::Feed => "a feed of recordings",
            Self::AwsChunks => "the raw chunks of an upload (aws-chunked)",
            Self::Empty => "nothing",
            Self::Other => "an unknown kind of file",
        }
    }
}

/// The kind of a body with these first bytes. The content type decides only where the bytes do not.
#[must_use]
pub fn sniff(head: &[u8], content_type: Option<&str>) -> BodyKind {
    if head.is_empty() {
        return BodyKind::Empty;
    }
    if is_media(head) {
        return BodyKind::Media;
    }
    if is_aws_chunk(head) {
        return BodyKind::AwsChunks;
    }
    let text = text(&head[..head.len().min(HEAD_BYTES)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let declared = content_type.unwrap_or_default().to_ascii_lowercase();
    if text.starts_with("#extm3u") {
        BodyKind::Hls
    } else if text.starts_with('<') && text.contains("<mpd") {
        BodyKind::Dash
    } else if text.starts_with('<') && (text.contains("<rss") || text.contains("<feed")) {
        BodyKind::Feed
    } else if text.starts_with('<') || declared.starts_with("text/html") {
        if asks_for_login(text) { BodyKind::Login } else { BodyKind::Html }
    } else if text.starts_with(['{', '[']) || declared.starts_with("application/json") {
        BodyKind::Json
    } else {
        BodyKind::Other
    }
}

/// The text in lower case, of UTF-8 or, behind a byte order mark, of UTF-16.
fn text(head: &[u8]) -> String {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = head.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match head {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => String::from_utf8_lossy(head).into_owned(),
    };
    text.to_ascii_lowercase()
}

/// The head of the first chunk of an `aws-chunked` upload: its length in hexadecimal, alone or with a signature, before media.
fn is_aws_chunk(head: &[u8]) -> bool {
    let digits = head.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let after = &head[digits..];
    (1..=8).contains(&digits)
        && (after.starts_with(b";chunk-signature=") || after.strip_prefix(b"\r\n").is_some_and(is_media))
}

/// Words in the sign-in pages of Panopto and of universities' identity providers.
fn asks_for_login(text: &str) -> bool {
    ["type=\"password\"", "type='password'", "login", "log in", "sign in", "sign-in", "samlrequest"]
        .iter()
        .any(|word| text.contains(word))
}

fn is_media(head: &[u8]) -> bool {
    let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    let iso_box = || {
        let boxes: [&[u8]; 9] =
            [b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"wide"];
        // Boxes before a segment are small. The first byte of text is never 0.
        let before_segments: [&[u8]; 5] = [b"emsg", b"prft", b"ssix", b"pssh", b"uuid"];
        boxes.iter().any(|name| at(4, name)) || at(0, b"\0") && before_segments.iter().any(|name| at(4, name))
    };
    iso_box()
        || at(0, &[0x1a, 0x45, 0xdf, 0xa3]) // Matroska, WebM
        || at(0, b"OggS")
        || at(0, b"fLaC")
        || at(0, b"ID3")
        || at(0, b"FLV\x01")
        || at(0, b"RIFF") && (at(8, b"WAVE") || at(8, b"AVI "))
        || at(0, &[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11]) // ASF: WMV, WMA
        || at(0, &[0x00, 0x00, 0x01, 0xba]) // MPEG program stream
        || is_transport_stream(head)
        || is_mpeg_audio(head)
}

/// MPEG transport stream: a sync byte every 188 bytes. The byte is a letter, so one alone proves nothing.
fn is_transport_stream(head: &[u8]) -> bool {
    let sync = |packet: usize| head.get(packet * 188).map(|&byte| byte == 0x47);
    sync(0) == Some(true) && sync(1) == Some(true) && sync(2).unwrap_or(true)
}

/// A frame header of MPEG audio layer II or III (ISO 11172-3), or of AAC in ADTS (ISO 13818-7).
fn is_mpeg_audio(head: &[u8]) -> bool {
    let &[first, second, third, ..] = head else { return false };
    if first != 0xff {
        return false;
    }
    let adts = second & 0xf6 == 0xf0;
    let layer = (second >> 1) & 0b11;
    let version = (second >> 3) & 0b11;
    let rates = third >> 4 != 0b1111 && (third >> 2) & 0b11 != 0b11;
    adts || second & 0xe0 == 0xe0 && version != 0b01 && matches!(layer, 0b01 | 0b10) && rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_not_names() {
        let mut transport = vec![0_u8; 600];
        transport[0] = 0x47;
        transport[188] = 0x47;
        transport[376] = 0x47;
        let table: [(&[u8], Option<&str>, BodyKind); 31] = [
            (b"", Some("video/mp4"), BodyKind::Empty),
            (b"\0\0\0\x20ftypisom", Some("text/html"), BodyKind::Media),
            (b"\x1a\x45\xdf\xa3rest", None, BodyKind::Media),
            (b"ID3\x04\0\0", None, BodyKind::Media),
            (b"\xff\xfb\x90\x64rest", None, BodyKind::Media),
            (b"\xff\xf1\x50\x80rest", None, BodyKind::Media),
            (b"RIFF\x24\0\0\0WAVEfmt ", None, BodyKind::Media),
            (b"RIFF\x24\0\0\0WEBPVP8 ", None, BodyKind::Other),
            (&transport, None, BodyKind::Media),
            (b"Gabc", Some("video/mp2t"), BodyKind::Other),
            (b"\xff\xfe<\0h\0t\0", None, BodyKind::Html),
            (b"\xff\xfe{\0\"\0", None, BodyKind::Json),
            (b"\xff\xfe#\0E\0X\0T\0M\x003\0U\0\n\0", None, BodyKind::Hls),
            (b"\xfe\xff\0#\0E\0X\0T\0M\x003\0U\0\n", None, BodyKind::Hls),
            (b"\0\0\0\x20emsg\x01", None, BodyKind::Media),
            (b"\0\0\0\x20prft\x01", None, BodyKind::Media),
            (b"no, emsg", None, BodyKind::Other),
            (b"400;chunk-signature=0f\r\nftyp", None, BodyKind::AwsChunks),
            (b"2000\r\n\0\0\0\x20ftypisom", None, BodyKind::AwsChunks),
            (b"2000\r\nwords", None, BodyKind::Other),
            (b"#EXTM3U\n#EXT-X-VERSION:3", Some("video/mp4"), BodyKind::Hls),
            (b"\xef\xbb\xbf#EXTM3U\n", None, BodyKind::Hls),
            (b"<?xml version=\"1.0\"?>\n<rss version=\"2.0\"><channel>", Some("video/mp4"), BodyKind::Feed),
            (b"<?xml version=\"1.0\"?><MPD xmlns=\"x\">", None, BodyKind::Dash),
            (b"ffconcat version 1.0\nfile /etc/passwd", Some("video/mp4"), BodyKind::Other),
            (b"\n <!DOCTYPE html><title>Sign in</title>", Some("video/mp4"), BodyKind::Login),
            (b"<html><input type=\"password\">", None, BodyKind::Login),
            (b"<html>Not here", None, BodyKind::Html),
            (b"moved", Some("text/html; charset=utf-8"), BodyKind::Html),
            (b"{\"ErrorCode\":2}", Some("video/mp4"), BodyKind::Json),
            (b"just some words", Some("video/mp4"), BodyKind::Other),
        ];
        for (head, content_type, kind) in table {
            assert_eq!(sniff(head, content_type), kind, "{:?}", String::from_utf8_lossy(head));
        }
    }
}
