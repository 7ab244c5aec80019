//! Changed playlists have the expected text.

use bedel_upstream::hls::{Encryption, Hls, HlsOptions, Kind, hostile};
use bedel_upstream::{Reply, Upstream};

use crate::client::get;

fn make(kind: Kind, encryption: Encryption) -> Hls {
    let directory = tempfile::tempdir().unwrap();
    Hls::make(directory.path(), &HlsOptions { kind, encryption, ..HlsOptions::default() })
}

fn count(text: &str, tag: &str) -> usize {
    text.lines().filter(|line| line.starts_with(tag)).count()
}

#[test]
fn uris_can_be_replaced() {
    let hls = make(Kind::Fmp4, Encryption::Aes128 { key: [1; 16], rotate: false });
    let text = hls.playlist().clone().with_uri(1, "file:///x").text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["00000.m4s", "file:///x", "00002.m4s"]);
    let text = hls.playlist().clone().with_map("http://x/m").with_key("http://x/k").text();
    assert!(
        text.contains("#EXT-X-MAP:URI=\"http://x/m\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"http://x/k\"\n"),
        "{text}"
    );
    assert_eq!(count(&text, "#EXT-X-KEY"), 1);
    let text = hls.playlist().clone().with_prefix("https://h/").text();
    assert_eq!(text.matches("https://h/").count(), 5, "{text}");
}

#[test]
fn concatenated_encodes_keep_their_own_maps() {
    let hls = make(Kind::Fmp4, Encryption::None);
    let joined = hls.playlist().clone().concat(hls.playlist().clone().with_prefix("b/"));
    assert!((joined.seconds() - 2.0 * hls.seconds()).abs() < 0.001);
    let text = joined.text();
    assert!(text.contains("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"b/init.mp4\"\n"), "{text}");
    assert_eq!((count(&text, "#EXT-X-MAP"), count(&text, "#EXTINF")), (2, 6), "{text}");
}

#[test]
fn gaps_ranges_and_many_segments_follow_the_standard() {
    let hls = make(Kind::ByteRanges, Encryption::None);
    let text = hls.playlist().text();
    assert_eq!((count(&text, "#EXT-X-BYTERANGE"), text.matches('@').count()), (3, 3), "{text}");
    let text = hls.playlist().clone().without_offsets().with_gap(1).text();
    assert_eq!((count(&text, "#EXT-X-BYTERANGE"), text.matches('@').count()), (3, 1), "{text}");
    assert!(text.contains("#EXT-X-GAP\nall.ts\n"), "{text}");
    let text = make(Kind::Ts, Encryption::None).playlist().clone().repeat_segments(100_000).text();
    assert_eq!(count(&text, "#EXTINF"), 100_000);
    assert!(text.ends_with("00000.ts?again=99999\n#EXT-X-ENDLIST\n"));
}

/// A segment's default vector is its number, so segments that move must name theirs.
#[test]
fn moved_encrypted_segments_keep_their_vectors() {
    let hls = make(Kind::Ts, Encryption::Aes128 { key: [1; 16], rotate: false });
    assert_eq!(count(&hls.playlist().text(), "#EXT-X-KEY"), 1);
    let text = hls.playlist().clone().repeat_segments(4).text();
    let last = text.lines().rfind(|line| line.starts_with("#EXT-X-KEY")).unwrap();
    assert!(last.ends_with(&format!(",IV=0x{:032x}", 0)), "{text}");
}

#[tokio::test]
async fn a_live_playlist_grows_until_it_ends() {
    let upstream = Upstream::start().await;
    let hls = make(Kind::Ts, Encryption::None);
    let url = upstream.serve_hls("/live", &hls);
    upstream.on("/live/index.m3u8", hls.playlist().live_replies(3));
    let mut seen = Vec::new();
    for _ in 0..4 {
        let text = get(&url, &[]).await.text().await.unwrap();
        seen.push((
            count(&text, "#EXTINF"),
            count(&text, "#EXT-X-ENDLIST"),
            count(&text, "#EXT-X-PLAYLIST-TYPE"),
        ));
    }
    assert_eq!(seen, [(1, 0, 0), (2, 0, 0), (3, 1, 1), (3, 1, 1)]);
}

/// The table holds only addresses of this machine, and each one that a client can follow leads to the canary.
#[tokio::test]
async fn hostile_uris_lead_only_to_the_canary() {
    let (upstream, canary) = Upstream::start_with_canary().await;
    upstream.on("/", [Reply::json("{}")]);
    let uris = hostile::uris(upstream.port(), std::path::Path::new("/nowhere/secret"));
    let mut followed = 0;
    for (what, uri) in &uris {
        let Ok(url) = reqwest::Url::parse(uri) else { continue };
        if let (Some("http"), Some(host)) = (Some(url.scheme()), url.host_str()) {
            assert!(["127.0.0.2", "[::1]", "[::ffff:7f00:2]"].contains(&host), "{what}: {host}");
            assert_eq!(get(uri, &[]).await.status().as_u16(), 200, "{what}");
            followed += 1;
        }
    }
    assert_eq!(canary.contacts().await, followed);
    assert!(followed >= 8, "{followed}");
    assert!(upstream.requests().is_empty(), "none leads to the upstream itself");
}
