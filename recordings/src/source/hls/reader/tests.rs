use super::*;

fn media(text: &str) -> Media {
    match parse(text.as_bytes()) {
        Ok(Playlist::Media(media)) => media,
        other => panic!("{other:?}: {text}"),
    }
}

/// URI and length of each segment.
fn segments(lines: &str) -> Vec<(String, f64)> {
    let media = media(&format!("#EXTM3U\n{lines}"));
    media.segments.into_iter().map(|segment| (segment.uri, segment.seconds)).collect()
}

#[test]
fn lengths_and_titles_have_any_form() {
    let end = "0.ts\n#EXT-X-ENDLIST";
    for length in [
        "6.5,",
        "6.5",
        "6.5,a, \"b\", c",
        " 6.5 , a",
        "6.5 no comma",
        "6.5,#EXTINF:7,",
        "6.5,\u{65e5}\u{672c}",
        "06.500,",
    ] {
        let lines = format!("#EXT-X-TARGETDURATION:6.037\n#EXTINF:{length}\n{end}");
        assert_eq!(segments(&lines), [("0.ts".to_owned(), 6.5)], "{length}");
    }
    let odd = "#EXT-X-TARGETDURATION:6,\n#extinf:5,\n#EXT-X-UNKNOWN:1,URI=\"x\"\n# a comment\n\n a b.ts?x=1,2 \t\r\n#EXT-X-ENDLIST \t";
    assert_eq!(segments(odd), [("a b.ts?x=1,2".to_owned(), 5.0)]);
    assert!(media(&format!("#EXTM3U\n{odd}")).is_whole);
    let latin = parse(b"#EXTM3U\n#EXTINF:5,caf\xe9, \xfcber\ncaf\xe9.ts\n").expect("a playlist");
    let Playlist::Media(latin) = latin else { panic!("{latin:?}") };
    assert_eq!(latin.segments[0].uri, "caf%E9.ts");
}

#[test]
fn what_is_missing_or_unreadable_is_an_error() {
    let many = |line: &str, count: usize| format!("#EXTM3U\n{}", line.repeat(count));
    let table = [
        (String::new(), "could not be read"),
        ("#EXTM3U".to_owned(), "could not be read"),
        ("#EXTINF:5,\n0.ts".to_owned(), "could not be read"),
        // A part of the recording would be missing.
        ("#EXTM3U\n#EXTINF:5,\n#EXTINF:5,\n1.ts".to_owned(), "could not be read"),
        ("#EXTM3U\n#EXTINF:5,\n0.ts\n#EXTINF:5,\n#EXT-X-ENDLIST".to_owned(), "could not be read"),
        ("#EXTM3U\n#EXTINF:5,\n0.ts\n1.ts".to_owned(), "could not be read"),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:5,\n3.ts".to_owned(),
            "could not be read",
        ),
        ("#EXTM3U\n#EXTINF:-1,\n0.ts".to_owned(), "could not be read"),
        ("#EXTM3U\n#EXTINF:long,\n0.ts".to_owned(), "could not be read"),
        (format!("#EXTM3U\n#EXTINF:{},\n0.ts", "9".repeat(400)), "could not be read"),
        ("#EXTM3U\n#EXT-X-KEY:URI=\"k\"\n#EXTINF:5,\n0.ts".to_owned(), "could not be read"),
        ("#EXTM3U\n#EXT-X-KEY:METHOD=,URI=\"k\"\n#EXTINF:5,\n0.ts".to_owned(), "could not be read"),
        ("#EXTM3U\n#EXT-X-MAP:URI=\"k\n#EXTINF:5,\n0.ts".to_owned(), "could not be read"),
        ("#EXTM3U\n#EXT-X-BYTERANGE:5@x\n#EXTINF:5,\n0.ts".to_owned(), "could not be read"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXTINF:5,\n0.ts".to_owned(), "could not be read"),
        (format!("#EXTM3U\n#EXTINF:5,\n{}", "x".repeat(MAX_LINE_BYTES + 1)), "could not be read"),
        (many("#EXTINF:5,\n0.ts\n", MAX_SEGMENTS + 1), "too many parts"),
        (many("#EXT-X-STREAM-INF:BANDWIDTH=1\na\n", MAX_STREAMS + 1), "too many streams"),
        (many("#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a\"\n", MAX_STREAMS + 1), "too many streams"),
        (many("#EXT-X-KEY:METHOD=NONE\n", MAX_CHANGES + 1), "too many keys"),
    ];
    for (text, words) in table {
        let error = parse(text.as_bytes()).expect_err(&text[..text.len().min(80)]).to_string();
        assert!(error.contains(words), "{error}: {}", &text[..text.len().min(80)]);
    }
}

#[test]
fn streams_come_with_what_decides_between_them() {
    let text = "#EXTM3U\n#EXT-X-MEDIA:type=audio,GROUP-ID=\"a\",NAME=\"x, URI=y\",default=yes,URI=\"a,b.m3u8\"\n\
                #EXT-X-MEDIA:TYPE=SUBTITLES,URI=\"words.m3u8\"\nstray\n\
                #EXT-X-STREAM-INF:BANDWIDTH=9,AVERAGE-BANDWIDTH=5,codecs=\"avc1, mp4a.40.2\",AUDIO=\"a\"\n# comment\n\nv.m3u8\n\
                #EXT-X-STREAM-INF:RESOLUTION=1x1\nw.m3u8\n\
                #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n";
    let Ok(Playlist::Master(master)) = parse(text.as_bytes()) else { panic!("a master playlist") };
    let uri = |uri: &str| uri.to_owned();
    assert_eq!(
        master.sounds,
        [Rendition { uri: Some(uri("a,b.m3u8")), is_default: true, is_autoselect: false }]
    );
    let first = Variant {
        uri: uri("v.m3u8"),
        bandwidth: 5,
        codecs: Some(uri("avc1, mp4a.40.2")),
        has_resolution: false,
        audio: Some(uri("a")),
    };
    let second =
        Variant { uri: uri("w.m3u8"), bandwidth: u64::MAX, has_resolution: true, ..Variant::default() };
    assert_eq!(master.variants, [first, second]);
}
