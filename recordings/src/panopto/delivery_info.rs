//! `DeliveryInfo.aspx`: the request of Panopto's viewer before it plays a recording.
//!
//! The end point always answers with status 200; the outcome is in the body. It belongs to no published API: every field may
//! be missing, and an unknown answer is an error, not a guess.

use bedel_fetch::body::{self, BodyKind};
use serde::Deserialize;
use url::Url;

use super::session_id::{DeliveryKey, Recording};
use super::streams::{MAX_STREAMS, Span, Stream, StreamKind, arrange};

/// Largest answer read, in bytes. Those of long lectures with many slides have some hundred kB.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Longest title kept, in characters.
const MAX_TITLE: usize = 300;

/// Longest message of Panopto kept in an error, in characters.
const MAX_MESSAGE: usize = 160;

/// Panopto's information about a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// It can be played.
    Ready {
        /// Its streams, the one most likely to have all sound first. At least one.
        streams: Vec<Stream>,
        /// The recording's name.
        title: Option<String>,
        /// Length in seconds.
        seconds: Option<f64>,
    },
    /// It is still being recorded or encoded.
    Encoding,
    /// It needs a login.
    LoginRequired,
    /// It was deleted.
    Deleted,
    /// It is archived; its owner has to restore it.
    Archived,
    /// It is encoded, but has no stream.
    NoStream,
    /// An unknown error: Panopto's message, as plain text.
    Refused(String),
    /// Not an answer of this end point.
    Unreadable,
}

/// The end point at the recording's origin.
#[must_use]
pub fn end_point(recording: &Recording) -> Url {
    let mut url = recording.origin.clone();
    url.set_path("/Panopto/Pages/Viewer/DeliveryInfo.aspx");
    url
}

/// The form that the viewer posts to the end point.
#[must_use]
pub fn form(key: DeliveryKey) -> Vec<(&'static str, String)> {
    let text = str::to_owned;
    match key {
        DeliveryKey::Id(id) => {
            vec![("deliveryId", id.to_string()), ("isEmbed", text("true")), ("responseType", text("json"))]
        }
        DeliveryKey::Tid(tid) => vec![
            ("tid", tid.to_string()),
            ("isLiveNotes", text("false")),
            ("refreshAuthCookie", text("true")),
            ("isActiveBroadcast", text("false")),
            ("isEditing", text("false")),
            ("isKollectiveAgentInstalled", text("false")),
            ("isEmbed", text("false")),
            ("responseType", text("json")),
        ],
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    error_code: Option<i64>,
    error_message: Option<String>,
    delivery: Option<Details>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Details {
    session_name: Option<String>,
    duration: Option<f64>,
    podcast_streams: Option<Vec<StreamDetails>>,
    streams: Option<Vec<StreamDetails>>,
    is_podcast_encode_complete: Option<bool>,
    is_viewer_encode_complete: Option<bool>,
    is_active_broadcast: Option<bool>,
    is_purged_encode: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamDetails {
    stream_url: Option<String>,
    stream_http_url: Option<String>,
    tag: Option<String>,
    variants: Option<Vec<Variant>>,
    #[serde(default, deserialize_with = "lenient")]
    relative_start: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    relative_end: Option<f64>,
    #[serde(default, deserialize_with = "lenient")]
    relative_segments: Vec<Segment>,
}

/// What the session plays of a stream: the seconds `start` to `end` of its file, at `relative_start`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Segment {
    relative_start: Option<f64>,
    start: Option<f64>,
    end: Option<f64>,
}

/// A value of another type counts as missing: the address of the stream is worth more.
fn lenient<'de, D: serde::Deserializer<'de>, T: serde::de::DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Variant {
    url: Option<String>,
}

/// Reads an answer of `end_point`.
#[must_use]
pub fn read(end_point: &Url, bytes: &[u8], content_type: Option<&str>) -> Delivery {
    if let Ok(answer) = serde_json::from_slice::<Answer>(bytes) {
        return interpret(end_point, answer);
    }
    match body::sniff(bytes, content_type) {
        // Any page instead of JSON leads to a login page.
        BodyKind::Login | BodyKind::Html => Delivery::LoginRequired,
        _ => Delivery::Unreadable,
    }
}

fn interpret(end_point: &Url, answer: Answer) -> Delivery {
    let message = plain_text(&answer.error_message.unwrap_or_default());
    if answer.error_code.is_some_and(|code| code != 0) || (answer.delivery.is_none() && !message.is_empty()) {
        return failure(answer.error_code, message);
    }
    let Some(details) = answer.delivery else { return Delivery::Unreadable };
    if details.is_active_broadcast == Some(true) {
        return Delivery::Encoding;
    }
    let streams = streams(end_point, &details);
    if !streams.is_empty() {
        let seconds = details.duration.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        return Delivery::Ready { streams, title: details.session_name.as_deref().and_then(title), seconds };
    }
    let encoded =
        [details.is_podcast_encode_complete, details.is_viewer_encode_complete].contains(&Some(true));
    match (details.is_purged_encode, encoded) {
        (Some(true), _) => Delivery::Archived,
        (_, true) => Delivery::NoStream,
        (_, false) => Delivery::Encoding,
    }
}

/// Error code 2 means "sign in". Other errors are recognised by their message.
fn failure(code: Option<i64>, message: String) -> Delivery {
    let words = message.to_lowercase();
    let says = |list: &[&str]| list.iter().any(|phrase| words.contains(phrase));
    if code == Some(2) || says(&["access is denied", "access denied", "sign in", "log in", "login"]) {
        Delivery::LoginRequired
    } else if says(&["deleted", "isn't available", "is not available", "not found", "does not exist"]) {
        Delivery::Deleted
    } else {
        Delivery::Refused(message)
    }
}

/// Podcast streams have picture and sound, so they come first. Of the others, `DV` is the camera with its microphone; `SCREEN`
/// and `OBJECT` may be slides without sound.
fn streams(end_point: &Url, details: &Details) -> Vec<Stream> {
    let url = |candidates: &[Option<&String>]| {
        let url = candidates.iter().copied().flatten().find(|url| !url.trim().is_empty())?;
        end_point.join(url).ok()
    };
    let podcasts = details.podcast_streams.iter().flatten().filter_map(|stream| {
        let url = url(&[stream.stream_url.as_ref(), stream.stream_http_url.as_ref()])?;
        // Panopto makes it of what the session plays.
        Some(Stream { url, kind: StreamKind::Podcast, spans: Vec::new() })
    });
    let plain = details.streams.iter().flatten().filter_map(|stream| {
        let variant = stream.variants.iter().flatten().find_map(|variant| variant.url.as_ref());
        let url = url(&[stream.stream_http_url.as_ref(), stream.stream_url.as_ref(), variant])?;
        Some(Stream { url, kind: StreamKind::of_tag(stream.tag.as_deref()), spans: stream.spans() })
    });
    let mut streams: Vec<Stream> = podcasts.chain(plain).collect();
    streams.sort_by_key(|stream| stream.kind);
    streams.truncate(MAX_STREAMS);
    streams
}

impl StreamDetails {
    /// When the session plays it. Without usable segments, its start and end count.
    fn spans(&self) -> Vec<Span> {
        let segments = self.relative_segments.iter();
        let spans = arrange(segments.filter_map(|segment| {
            let start = segment.start.unwrap_or(0.0);
            Some(Span { at: segment.relative_start?, start, end: segment.end })
        }));
        if !spans.is_empty() {
            return spans;
        }
        let Some(at) = self.relative_start else { return Vec::new() };
        arrange([Span { at, start: 0.0, end: self.relative_end.map(|end| end - at) }])
    }
}

/// A title for the database: no control characters, at most 300 characters, not empty.
fn title(name: &str) -> Option<String> {
    let clean: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean: String =
        clean.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_TITLE).collect();
    (!clean.is_empty()).then_some(clean)
}

/// The text of a fragment of HTML: no tags, no links, one line, at most 160 characters.
fn plain_text(html: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for c in html.chars().take(10_000) {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if in_tag => {}
            _ => text.push(if c.is_control() { ' ' } else { c }),
        }
    }
    for (entity, c) in [("&nbsp;", " "), ("&quot;", "\""), ("&#39;", "'"), ("&apos;", "'"), ("&amp;", "&")] {
        text = text.replace(entity, c);
    }
    let words: Vec<&str> = text.split_whitespace().filter(|word| !word.contains("://")).collect();
    let mut line = words.join(" ");
    // A tag before a comma becomes a blank.
    for (loose, tight) in [(" ,", ","), (" .", "."), (" ;", ";"), (" :", ":")] {
        line = line.replace(loose, tight);
    }
    line.chars().take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> Delivery {
        let end_point = Url::parse("https://a.hosted.panopto.com/Panopto/Pages/Viewer/DeliveryInfo.aspx");
        read(&end_point.expect("a URL"), json.as_bytes(), Some("application/json"))
    }

    fn stream(json: &str) -> String {
        match answer(json) {
            Delivery::Ready { streams, .. } => streams[0].url.as_str().to_owned(),
            other => panic!("{other:?} from {json}"),
        }
    }

    #[test]
    fn the_podcast_comes_before_plain_streams_and_sound_before_slides() {
        let both = r#"{"Delivery":{"PodcastStreams":[{"StreamUrl":null},{"StreamUrl":"https://cdn.example/p.mp4"}],
            "Streams":[{"StreamHttpUrl":"https://cdn.example/s.mp4","Tag":"DV"}]}}"#;
        assert_eq!(stream(both), "https://cdn.example/p.mp4");
        let plain = r#"{"Delivery":{"PodcastStreams":[],"Streams":[
            {"StreamHttpUrl":"https://cdn.example/slides.mp4","Tag":"OBJECT"},
            {"StreamHttpUrl":"","StreamUrl":"https://cdn.example/camera.mp4","Tag":"DV"}]}}"#;
        assert_eq!(stream(plain), "https://cdn.example/camera.mp4");
        let variant = r#"{"Delivery":{"Streams":[{"Variants":[{"Url":"/v.mp4"}]}]}}"#;
        assert_eq!(stream(variant), "https://a.hosted.panopto.com/v.mp4");
    }

    /// The spans of a single stream with these fields.
    fn spans(fields: &str) -> Vec<(f64, f64, Option<f64>)> {
        let json = format!(r#"{{"Delivery":{{"Streams":[{{"StreamUrl":"/s","Tag":"DV",{fields}}}]}}}}"#);
        match answer(&json) {
            Delivery::Ready { streams, .. } => {
                streams[0].spans.iter().map(|span| (span.at, span.start, span.end)).collect()
            }
            other => panic!("{other:?} from {json}"),
        }
    }

    #[test]
    fn streams_say_when_the_session_plays_them() {
        let late = r#""RelativeStart":10.0,"RelativeEnd":40.0"#;
        assert_eq!(spans(late), [(10.0, 0.0, Some(30.0))]);
        assert_eq!(spans(r#""RelativeStart":10.0"#), [(10.0, 0.0, None)]);
        assert_eq!(spans(r#""RelativeStart":null,"RelativeEnd":null,"RelativeSegments":null"#), []);
        assert_eq!(spans(r#""RelativeStart":"soon","RelativeEnd":[],"RelativeSegments":7"#), []);
        // Seconds 10 to 18 of the file were cut out.
        let cut = r#""RelativeStart":0,"RelativeEnd":22,"RelativeSegments":[
            {"RelativeStart":10,"Start":18,"End":30},{"RelativeStart":0,"Start":0,"End":10}]"#;
        assert_eq!(spans(cut), [(0.0, 0.0, Some(10.0)), (10.0, 18.0, Some(30.0))]);
        let unusable = r#""RelativeStart":5,"RelativeEnd":9,"RelativeSegments":[{"RelativeStart":-1e99,"Start":0,"End":1}]"#;
        assert_eq!(spans(unusable), [(5.0, 0.0, Some(4.0))]);
    }

    #[test]
    fn all_streams_are_kept_in_order_of_their_sound() {
        let json = r#"{"Delivery":{"PodcastStreams":[{"StreamUrl":"/p"}],"Streams":[
            {"StreamUrl":"/slides","Tag":"OBJECT"},{"StreamUrl":"/mic","Tag":"AUDIO"},{"StreamUrl":null,"Tag":"DV"},
            {"StreamUrl":"/a","Tag":"DV"},{"StreamUrl":"/b","Tag":"DV"},{"StreamUrl":"/x"}]}}"#;
        let Delivery::Ready { streams, .. } = answer(json) else { panic!("{json}") };
        let paths: Vec<&str> = streams.iter().map(|stream| stream.url.path()).collect();
        assert_eq!(paths, ["/p", "/a", "/b", "/mic", "/x", "/slides"]);
        let many =
            format!(r#"{{"Delivery":{{"Streams":[{}]}}}}"#, vec![r#"{"StreamUrl":"/s"}"#; 100].join(","));
        let Delivery::Ready { streams, .. } = answer(&many) else { panic!("{many}") };
        assert_eq!(streams.len(), MAX_STREAMS);
    }

    #[test]
    fn states_of_a_recording() {
        let table = [
            (r#"{"ErrorCode":2,"ErrorMessage":"x"}"#, Delivery::LoginRequired),
            (
                r#"{"ErrorMessage":"Access is denied. <a href='https://x.example/?t=1'>Log</a>"}"#,
                Delivery::LoginRequired,
            ),
            (
                r#"{"ErrorCode":1,"ErrorMessage":"This session isn't available. It may have been deleted.<br><a>See</a>"}"#,
                Delivery::Deleted,
            ),
            (
                r#"{"ErrorCode":7,"ErrorMessage":"Odd &amp; <b>new</b>, \u0000 see https://x.example/?token=1 <script>"}"#,
                Delivery::Refused("Odd & new, see".into()),
            ),
            (
                r#"{"Delivery":{"PodcastStreams":[{"StreamUrl":null}],"IsPodcastEncodeComplete":false}}"#,
                Delivery::Encoding,
            ),
            (r#"{"Delivery":{}}"#, Delivery::Encoding),
            (
                r#"{"Delivery":{"IsActiveBroadcast":true,"Streams":[{"StreamUrl":"https://cdn.example/live"}]}}"#,
                Delivery::Encoding,
            ),
            (r#"{"Delivery":{"IsPurgedEncode":true}}"#, Delivery::Archived),
            (r#"{"Delivery":{"IsViewerEncodeComplete":true,"Streams":[]}}"#, Delivery::NoStream),
            ("{}", Delivery::Unreadable),
            ("[]", Delivery::Unreadable),
            ("", Delivery::Unreadable),
            ("{\"Delivery\":", Delivery::Unreadable),
            ("<html>Sign in</html>", Delivery::LoginRequired),
            ("<!DOCTYPE html><title>Welcome</title>", Delivery::LoginRequired),
        ];
        for (json, wanted) in table {
            assert_eq!(answer(json), wanted, "{json}");
        }
    }

    #[test]
    fn titles_are_cleaned_for_the_database() {
        assert_eq!(title(" A\u{0}B \n C "), Some("A B C".into()));
        assert_eq!(title("\u{0} "), None);
        assert_eq!(title(&"é".repeat(1000)).map(|title| title.chars().count()), Some(MAX_TITLE));
    }
}
