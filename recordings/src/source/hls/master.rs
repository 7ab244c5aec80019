//! Picks one of a recording's streams. Only the sound matters.

use super::reader::{Master, Variant};
use crate::source::error::SourceError;

/// Prefixes of audio codec names (RFC 6381).
const SOUND: [&str; 12] =
    ["mp4a", "ac-3", "ec-3", "opus", "vorbis", "flac", "alac", "mp3", "ac-4", "dts", "mha", "mhm"];

/// Prefixes of the names of subtitles.
const TEXT: [&str; 3] = ["wvtt", "stpp", "tx3g"];

/// The URI of the stream to fetch: an audio-only rendition, else an audio-only variant, else the variant with sound of the
/// lowest bandwidth.
///
/// `CODECS` may omit the sound: where no variant names any, one without the attribute comes next, then one with a group of sounds,
/// then the one of the lowest bandwidth. Whether it has sound shows when it is decoded.
pub(super) fn choose(master: &Master) -> Result<&str, SourceError> {
    if let Some(rendition) = rendition(master) {
        return Ok(rendition);
    }
    let cheapest = |only: fn(&Variant) -> bool| {
        let fitting = master.variants.iter().filter(move |&variant| only(variant));
        fitting.min_by_key(|variant| variant.bandwidth)
    };
    let chosen = cheapest(|variant| names(variant, &SOUND) && !has_picture(variant))
        .or_else(|| cheapest(|variant| names(variant, &SOUND)))
        .or_else(|| cheapest(|variant| variant.codecs.is_none()))
        .or_else(|| cheapest(|variant| variant.audio.is_some()))
        .or_else(|| cheapest(|variant| !codecs(variant).all(|codec| is_one_of(codec, &TEXT))));
    match chosen {
        Some(variant) => Ok(&variant.uri),
        None if master.variants.is_empty() => Err(SourceError::Refused { what: "no streams" }),
        None => Err(SourceError::NoSound),
    }
}

/// The audio rendition that a player starts with. One without a URI is part of its variant.
fn rendition(master: &Master) -> Option<&str> {
    let separate = master.sounds.iter().filter(|sound| sound.uri.is_some());
    separate.min_by_key(|sound| (!sound.is_default, !sound.is_autoselect))?.uri.as_deref()
}

fn codecs(variant: &Variant) -> impl Iterator<Item = &str> {
    variant.codecs.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|codec| !codec.is_empty())
}

fn names(variant: &Variant, prefixes: &[&str]) -> bool {
    codecs(variant).any(|codec| is_one_of(codec, prefixes))
}

fn has_picture(variant: &Variant) -> bool {
    variant.has_resolution || codecs(variant).any(|codec| !is_one_of(codec, &SOUND))
}

fn is_one_of(codec: &str, prefixes: &[&str]) -> bool {
    let codec = codec.to_ascii_lowercase();
    prefixes.iter().any(|prefix| codec.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::hls::reader::{self, Playlist};

    fn chosen(lines: &str) -> Result<String, String> {
        let text = format!("#EXTM3U\n{lines}");
        let Ok(Playlist::Master(master)) = reader::parse(text.as_bytes()) else { panic!("{text}") };
        choose(&master).map(str::to_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn sound_alone_comes_first_then_the_cheapest_with_sound() {
        let low = "#EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS=\"avc1.42e00a,mp4a.40.2\",RESOLUTION=320x180\nlow.m3u8\n";
        let high = "#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS=\"avc1.42e00a,mp4a.40.2\",RESOLUTION=640x360\nhigh.m3u8\n";
        let slides = "#EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS=\"avc1.42e00a\"\nslides.m3u8\n";
        let sound = "#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS=\"mp4a.40.2\"\nsound.m3u8\n";
        let grouped = "#EXT-X-STREAM-INF:BANDWIDTH=700000,CODECS=\"avc1.42e00a\",AUDIO=\"a\"\ngrouped.m3u8\n";
        let subtitles = "#EXT-X-STREAM-INF:BANDWIDTH=7,CODECS=\"wvtt, stpp.ttml\"\nwords.m3u8\n";
        let unnamed = "#EXT-X-STREAM-INF:BANDWIDTH=100000\nunnamed.m3u8\n";
        let frames = "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1000,CODECS=\"mp4a.40.2\",URI=\"frames.m3u8\"\n";
        let rendition = |name: &str, default: &str| {
            format!(
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{name}\",DEFAULT={default},URI=\"{name}.m3u8\"\n"
            )
        };
        let inside = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"in\",DEFAULT=YES\n";
        let captions = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"en\",URI=\"captions.m3u8\"\n";
        let ok = |uri: &str| Ok(uri.to_owned());
        let table = [
            ([high, low, slides].concat(), ok("low.m3u8")),
            ([high, low, sound].concat(), ok("sound.m3u8")),
            ([unnamed, high].concat(), ok("high.m3u8")),
            ([slides, unnamed].concat(), ok("unnamed.m3u8")),
            ([inside, high, low].concat(), ok("low.m3u8")),
            ([captions, low].concat(), ok("low.m3u8")),
            ([frames, low].concat(), ok("low.m3u8")),
            ([&rendition("fr", "NO"), &rendition("en", "YES"), low, sound].concat(), ok("en.m3u8")),
            (slides.to_owned(), ok("slides.m3u8")),
            ([slides, grouped].concat(), ok("grouped.m3u8")),
            ([inside, slides, grouped].concat(), ok("grouped.m3u8")),
            (subtitles.to_owned(), Err(SourceError::NoSound.to_string())),
            (captions.to_owned(), Err(SourceError::Refused { what: "no streams" }.to_string())),
        ];
        for (lines, expected) in table {
            assert_eq!(chosen(&lines), expected, "{lines}");
        }
    }
}
