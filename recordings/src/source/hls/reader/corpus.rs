//! Playlists as servers write them.

/// Master and media playlists, each as its bytes.
pub(super) fn playlists() -> Vec<Vec<u8>> {
    let texts = [
        MASTER,
        MASTER_ODD,
        VOD,
        FLOAT,
        LONG_TITLES,
        FMP4,
        RANGES,
        KEYS,
        DRM,
        LIVE,
        EVENT,
        LOW_LATENCY,
        PACKED,
        BREAKS,
    ];
    let mut playlists: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    playlists.push(VOD.replace('\n', "\r\n").into_bytes());
    playlists.push(FMP4.replace('\n', "\r").into_bytes());
    playlists.push(format!("\u{feff}{MASTER}").encode_utf16().flat_map(u16::to_le_bytes).collect());
    playlists.push(LONG_TITLES.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect());
    playlists.push(many());
    playlists
}

/// An hour in segments of four seconds.
fn many() -> Vec<u8> {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n".to_owned();
    for number in 0..900 {
        text += &format!("#EXTINF:4.004,\nmedia_{number:05}.ts?Policy=eyJ&Signature=a~b&Key-Pair-Id=K\n");
    }
    (text + "#EXT-X-ENDLIST\n").into_bytes()
}

const MASTER: &str = r#"#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="English, main",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio/en.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Deutsch",LANGUAGE="de",DEFAULT=NO,URI="audio/de.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="subs",NAME="English",URI="subs/en.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=2227464,AVERAGE-BANDWIDTH=2218327,CODECS="avc1.640020,mp4a.40.2",RESOLUTION=960x540,FRAME-RATE=60.000,CLOSED-CAPTIONS="cc",AUDIO="aac",SUBTITLES="subs"
v5/prog_index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=6453202,CODECS="avc1.640020",RESOLUTION=1280x720,AUDIO="aac"
v7/prog_index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=187492,CODECS="avc1.64002a",RESOLUTION=1920x1080,URI="v7/iframe_index.m3u8"
#EXT-X-SESSION-DATA:DATA-ID="com.example.title",VALUE="Rivers, clouds = bees"
"#;

const MASTER_ODD: &str = "#EXTM3U\n\n# a comment\n#EXT-X-STREAM-INF: bandwidth = 300000 , Codecs = \"avc1.42e00a\" , RESOLUTION=320x180\t\n\n# another\n  low/index.panobf2  \n#EXT-X-STREAM-INF:PROGRAM-ID=1,BANDWIDTH=900000\nhttps://a.panopto.com/high.m3u8?a=1,2#x\n";

const VOD: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-ALLOW-CACHE:YES\n#EXTINF:9.009,\nhttp://media.example.com/first.ts\n#EXTINF:9.009,\nsecond.ts\n#EXTINF:3.003,\nthird.ts\n#EXT-X-ENDLIST\n";

const FLOAT: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6.037\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:6.013967,\n0.ts\n#EXTINF:5.990756\n1.ts\n#EXTINF:0.023222 no comma\n2.ts\n";

const LONG_TITLES: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,Part 1, \"caf\u{e9}\", x=y\ncaf\u{e9}/a b.ts\n#EXTINF:10 tvg-id=\"1\" logo=\"http://x/y.png\",Title: #2\n#KODIPROP:a=b\n2.ts\n#EXT-X-ENDLIST \n";

const FMP4: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"720@0\"\n#EXTINF:6.006,\n0.m4s\n#EXTINF:6.006,\n1.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"ad/init.mp4\"\n#EXTINF:4,\nad/0.m4s\n#EXT-X-ENDLIST\n";

const RANGES: &str = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n#EXT-X-BYTERANGE:75232@0\nall.ts\n#EXT-X-BYTERANGE: 82112 \n#EXTINF:5,\nall.ts\n#EXTINF:5,\n#EXT-X-BYTERANGE:69864@200000\nall.ts\n#EXT-X-ENDLIST\n";

const KEYS: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-MEDIA-SEQUENCE:7794\n#EXT-X-TARGETDURATION:15\n#EXT-X-KEY:METHOD=AES-128,URI=\"https://priv.example.com/key.php?r=52,53\"\n#EXTINF:2.833,\n52-A.ts\n#EXTINF:15.0,\n52-B.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0X9c7db8778570d05c3177c349fd9236aa\n#EXTINF:13.333,\n52-C.ts\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\n53.ts\n#EXT-X-ENDLIST\n";

const DRM: &str = "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:6\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://a\",KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"\n#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,KEYFORMAT=\"urn:uuid:edef8ba9\",URI=\"data:text/plain;base64,AAAA=\"\n#EXTINF:6,\n0.m4s\n#EXT-X-ENDLIST\n";

const LIVE: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:8\n#EXT-X-MEDIA-SEQUENCE:2680\n#EXT-X-PROGRAM-DATE-TIME:2025-01-07T08:00:00.123+01:00\n#EXTINF:7.975,\nfileSequence2680.ts\n#EXTINF:7.941,\nfileSequence2681.ts\n";

const EVENT: &str = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGETDURATION:8\n#EXT-X-START:TIME-OFFSET=0\n#EXT-X-CUE-OUT:DURATION=30\n#EXTINF:7.975,\na.ts\n#EXT-X-CUE-IN\n#EXT-X-DATERANGE:ID=\"x\",START-DATE=\"2025-01-07T08:00:00Z\",X-COM-URI=\"http://x/y\"\n#EXTINF:7.9,\nb.ts\n#EXT-X-GAP\n#EXTINF:8,\nc.ts\n";

const LOW_LATENCY: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:9\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=12.0\n#EXT-X-PART-INF:PART-TARGET=0.33334\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4.00008,\nfs270.mp4\n#EXT-X-PART:DURATION=0.33334,URI=\"fs271.0.mp4\",INDEPENDENT=YES\n#EXTINF:4.00008,\nfs271.mp4\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"fs272.0.mp4\"\n#EXT-X-RENDITION-REPORT:URI=\"../1M/wait.php\",LAST-MSN=273\n#EXT-X-ENDLIST\n";

const PACKED: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9.9846,\nsegment-0.aac\n#EXTINF:9.9846,\nsegment-1.aac\n#EXT-X-ENDLIST";

const BREAKS: &str = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na/0.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:6,\nb/0.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:6,\nc/0.ts\n#EXT-X-ENDLIST\n";
