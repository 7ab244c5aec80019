use super::*;
use crate::source::hls::reader::{self, MAX_SEGMENTS, Playlist};

fn media(text: &str) -> Result<Media, SourceError> {
    match reader::parse(text.as_bytes())? {
        Playlist::Media(media) => Ok(media),
        Playlist::Master(_) => panic!("a master playlist: {text}"),
    }
}

fn of(lines: &str) -> Result<Recording, SourceError> {
    let text = format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:5\n{lines}");
    let playlist = media(&text)?;
    let base = Url::parse("https://a.panopto.com/x/index.m3u8").expect("a URL");
    read(&playlist, |uri| Ok(base.join(uri).expect("a URI")))
}

/// Name, range and first bytes of the vector of each entry; `map`, `+` (joins) and `|` (a new run) before it.
fn shown(lines: &str) -> Vec<String> {
    let recording = of(lines).expect("a recording");
    let show = |entry: &Entry| {
        let piece = entry.piece();
        let how = match entry {
            Entry::Map(_) => "map",
            Entry::Segment { joins: true, .. } => "+",
            Entry::Segment { joins: false, .. } => "|",
        };
        let name = piece.url.path_segments().and_then(Iterator::last).unwrap_or_default();
        let bytes = piece.range.map(|bytes| format!(" {}+{}", bytes.first, bytes.length)).unwrap_or_default();
        let cipher = piece.cipher.as_ref().map(|cipher| format!(" {} {}", cipher.key.path(), cipher.iv[15]));
        format!("{how} {name}{bytes}{}", cipher.unwrap_or_default())
    };
    recording.entries.iter().map(show).collect()
}

const END: &str = "#EXT-X-ENDLIST\n";

#[test]
fn segments_come_in_order_with_what_holds_for_them() {
    let plain =
        format!("#EXTINF:5,\n0.ts\n#EXTINF:5,\n1.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.5,\n2.ts\n{END}");
    assert_eq!(shown(&plain), ["+ 0.ts", "+ 1.ts", "| 2.ts"]);
    assert!((of(&plain).expect("a recording").seconds - 12.5).abs() < 0.001);

    let ranges = format!(
        "#EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"700@0\"\n#EXTINF:5,\n#EXT-X-BYTERANGE:100@700\nall.mp4\n\
         #EXTINF:5,\n#EXT-X-BYTERANGE:50\nall.mp4\n#EXT-X-DISCONTINUITY\n#EXTINF:5,\n#EXT-X-BYTERANGE:50@900\nall.mp4\n\
         #EXT-X-MAP:URI=\"other.mp4\"\n#EXTINF:5,\n9.m4s\n{END}"
    );
    assert_eq!(
        shown(&ranges),
        [
            "map all.mp4 0+700",
            "+ all.mp4 700+100",
            "+ all.mp4 800+50",
            "map all.mp4 0+700",
            "| all.mp4 900+50",
            "map other.mp4",
            "| 9.m4s"
        ]
    );

    let first =
        format!("#EXTINF:5,\n#EXT-X-BYTERANGE:50\n0.ts\n#EXTINF:5,\n#EXT-X-BYTERANGE: 70 \n0.ts\n{END}");
    assert_eq!(shown(&first), ["+ 0.ts 0+50", "+ 0.ts 50+70"]);

    let keys = format!(
        "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n#EXTINF:5,\n0.ts\n#EXTINF:5,\n1.ts\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"k2\",IV=0x2A\n#EXTINF:5,\n2.ts\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:5,\n3.ts\n{END}"
    );
    assert_eq!(shown(&keys), ["+ 0.ts /x/k1 7", "+ 1.ts /x/k1 8", "+ 2.ts /x/k2 42", "+ 3.ts"]);
}

#[test]
fn what_cannot_be_brought_in_whole_is_refused() {
    let many = "#EXTINF:1,\nx.ts\n".repeat(MAX_SEGMENTS + 1) + END;
    let breaks = "#EXT-X-DISCONTINUITY\n#EXTINF:1,\nx.ts\n".repeat(MAX_RUNS + 1) + END;
    let table = [
        ("#EXTINF:5,\n0.ts\n".to_owned(), "still going on"),
        (format!("#EXTINF:5,\n0.ts\n#EXT-X-GAP\n#EXTINF:5,\n1.ts\n{END}"), "gap"),
        (format!("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF:5,\n0.ts\n{END}"), "protected"),
        (
            format!(
                "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXTINF:5,\n0.ts\n{END}"
            ),
            "protected",
        ),
        (
            format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0xxyz\n#EXTINF:5,\n0.ts\n{END}"),
            "could not be read",
        ),
        (format!("#EXT-X-KEY:URI=\"k\"\n#EXTINF:5,\n0.ts\n{END}"), "could not be read"),
        (format!("#EXT-X-MAP:BYTERANGE=\"7@0\"\n#EXTINF:5,\n0.ts\n{END}"), "could not be read"),
        (
            format!(
                "#EXT-X-MAP:URI=\"0.mp4\",BYTERANGE=\"9@0\"\n#EXTINF:5,\n#EXT-X-BYTERANGE:50\n0.mp4\n{END}"
            ),
            "could not be read",
        ),
        (format!("#EXTINF:5,\n#EXT-X-BYTERANGE:0@0\n0.ts\n{END}"), "could not be read"),
        (format!("#EXTINF:200000,\n0.ts\n{END}"), "48 hours"),
        (END.to_owned(), "no parts"),
        (many, "too many parts"),
        (breaks, "too many breaks"),
    ];
    for (lines, words) in table {
        let error = of(&lines).expect_err("refused").to_string();
        assert!(error.contains(words), "{error}: {}", &lines[..lines.len().min(80)]);
    }
}

#[test]
fn a_signature_changes_nothing_and_another_segment_does() {
    let print = |lines: &str| of(lines).expect("a recording").fingerprint;
    let one = print(&format!("#EXTINF:5,\n0.ts?Signature=a\n{END}"));
    assert_eq!(one, print(&format!("#EXTINF:5,\n0.ts?Signature=b\n{END}")));
    assert_ne!(one, print(&format!("#EXTINF:5,\n1.ts?Signature=a\n{END}")));
    assert_ne!(one, print(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:5,\n0.ts\n{END}")));
}

#[test]
fn whole_seconds_of_an_old_format_are_rounded_ones() {
    let seconds = |version: &str| {
        let text =
            format!("#EXTM3U\n{version}#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n0.ts\n#EXTINF:5,\n1.ts\n{END}");
        seconds(&media(&text).expect("a playlist")).expect("a length")
    };
    assert_eq!((seconds(""), seconds("#EXT-X-VERSION:3\n")), (9.0, 10.0));
}

#[test]
fn a_video_on_demand_needs_no_end_and_anything_else_without_one_is_live() {
    let segment = "#EXTINF:5,\n0.ts\n";
    assert_eq!(shown(&format!("#EXT-X-PLAYLIST-TYPE:VOD\n{segment}")), ["+ 0.ts"]);
    assert_eq!(shown(&format!("{END}{segment}")), ["+ 0.ts"]);
    for kind in ["", "#EXT-X-PLAYLIST-TYPE:EVENT\n", "#EXT-X-PLAYLIST-TYPE:\n"] {
        assert!(matches!(of(&format!("{kind}{segment}")), Err(SourceError::Live)), "{kind}");
    }
}

/// A map is encrypted with the key before it. Keys of other formats beside a plain one are for other players.
#[test]
fn keys_apply_in_order_and_by_format() {
    let (plain, other) = (
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1\n",
        "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n",
    );
    let (map, segment) = ("#EXT-X-MAP:URI=\"i\"\n", "#EXTINF:5,\n0\n");
    let shown = |lines: &[&str]| shown(&[lines, &[segment, END]].concat().concat());
    assert_eq!(shown(&[map, plain]), ["map i", "+ 0 /x/k 1"]);
    assert_eq!(shown(&[plain, map]), ["map i /x/k 1", "+ 0 /x/k 1"]);
    assert_eq!(shown(&[plain, map, "#EXT-X-KEY:METHOD=none\n"]), ["map i /x/k 1", "+ 0"]);
    assert_eq!(shown(&[plain, other]), ["+ 0 /x/k 1"]);
    assert_eq!(shown(&[other, plain]), ["+ 0 /x/k 1"]);
    assert!(matches!(of(&[other, segment, END].concat()), Err(SourceError::Protected)));
}
