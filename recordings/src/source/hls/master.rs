//! Picks one of a recording's streams. Only the sound matters.

use m3u8_rs::{AlternativeMedia, AlternativeMediaType, MasterPlaylist, VariantStream};

use crate::source::error::SourceError;

/// Prefixes of audio codec names (RFC 6381).
const SOUND: [&str; 9] = ["mp4a", "ac-3", "ec-3", "opus", "vorbis", "flac", "alac", "mp3", "ac-4"];

/// The URI of the stream to fetch: an audio-only rendition, else an audio-only variant, else the variant with sound of the
/// lowest bandwidth. A variant without codec names may have sound.
pub(super) fn choose(master: &MasterPlaylist) -> Result<&str, SourceError> {
    let variants = || master.variants.iter().filter(|variant| !variant.is_i_frame);
    if let Some(rendition) = rendition(master) {
        return Ok(rendition);
    }
    let cheapest = |only: fn(&VariantStream) -> bool| {
        let fitting = variants().filter(move |&variant| only(variant));
        fitting.min_by_key(|variant| variant.average_bandwidth.unwrap_or(variant.bandwidth))
    };
    let chosen = cheapest(|variant| has_sound(variant) && !has_picture(variant))
        .or_else(|| cheapest(has_sound))
        .or_else(|| cheapest(|variant| variant.codecs.is_none()));
    match chosen {
        Some(variant) => Ok(&variant.uri),
        None if variants().next().is_none() => Err(SourceError::Refused { what: "no streams" }),
        None => Err(SourceError::NoSound),
    }
}

/// The audio rendition that a player starts with. One without a URI is part of its variant.
fn rendition(master: &MasterPlaylist) -> Option<&str> {
    let audio =
        |media: &&AlternativeMedia| media.media_type == AlternativeMediaType::Audio && media.uri.is_some();
    let best =
        master.alternatives.iter().filter(audio).min_by_key(|media| (!media.default, !media.autoselect));
    best.and_then(|media| media.uri.as_deref())
}

fn codecs(variant: &VariantStream) -> impl Iterator<Item = &str> {
    variant.codecs.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|codec| !codec.is_empty())
}

fn has_sound(variant: &VariantStream) -> bool {
    codecs(variant).any(is_sound)
}

fn has_picture(variant: &VariantStream) -> bool {
    variant.resolution.is_some() || codecs(variant).any(|codec| !is_sound(codec))
}

fn is_sound(codec: &str) -> bool {
    let codec = codec.to_ascii_lowercase();
    SOUND.iter().any(|sound| codec.starts_with(sound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(lines: &str) -> Result<String, String> {
        let text = format!("#EXTM3U\n{lines}");
        let master = m3u8_rs::parse_master_playlist_res(text.as_bytes()).expect("a master playlist");
        choose(&master).map(str::to_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn sound_alone_comes_first_then_the_cheapest_with_sound() {
        let low = "#EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS=\"avc1.42e00a,mp4a.40.2\",RESOLUTION=320x180\nlow.m3u8\n";
        let high = "#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS=\"avc1.42e00a,mp4a.40.2\",RESOLUTION=640x360\nhigh.m3u8\n";
        let slides = "#EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS=\"avc1.42e00a\"\nslides.m3u8\n";
        let sound = "#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS=\"mp4a.40.2\"\nsound.m3u8\n";
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
            (slides.to_owned(), Err(SourceError::NoSound.to_string())),
            (captions.to_owned(), Err(SourceError::Refused { what: "no streams" }.to_string())),
        ];
        for (lines, expected) in table {
            assert_eq!(chosen(&lines), expected, "{lines}");
        }
    }
}
