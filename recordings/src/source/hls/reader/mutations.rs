//! Ten thousand damaged playlists: no panic, no URI that the playlist does not have, no slow one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::corpus::playlists;
use super::*;

const MUTANTS: u64 = 10_000;

/// Longest time for one playlist, in a build without optimisation.
const LONGEST: Duration = Duration::from_millis(50);

/// A linear congruential generator (Knuth's MMIX): the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % below.max(1)
    }
}

/// Damages a playlist in one to four ways.
fn mutate(numbers: &mut Numbers, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[numbers.next(corpus.len())].clone();
    for _ in 0..=numbers.next(4) {
        let at = numbers.next(bytes.len());
        match numbers.next(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << numbers.next(8),
            1 if !bytes.is_empty() => bytes[at] = u8::try_from(numbers.next(256)).expect("a byte"),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, b"\n\r,\"=:#@.-\0 \xff\xe9"[numbers.next(14)]),
            4 => change_lines(&mut bytes, |lines| drop(lines.remove(at % lines.len()))),
            5 => change_lines(&mut bytes, |lines| {
                let line = lines[at % lines.len()].clone();
                lines.insert(at % (lines.len() + 1), line);
            }),
            6 => change_lines(&mut bytes, |lines| {
                let other = at % lines.len();
                lines.swap(other / 2, other);
            }),
            7 => {
                let other = &corpus[numbers.next(corpus.len())];
                let from = numbers.next(other.len());
                let to = from + numbers.next((other.len() - from).min(400));
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            _ => {
                let digit = b'0' + u8::try_from(numbers.next(10)).expect("a digit");
                let digits = bytes[at.min(bytes.len())..].iter().position(u8::is_ascii_digit);
                if let Some(found) = digits {
                    bytes[at + found] = digit;
                    drop(bytes.splice(at + found..at + found, vec![digit; numbers.next(30)]));
                }
            }
        }
    }
    bytes
}

fn change_lines(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    if !lines.is_empty() {
        change(&mut lines);
        *bytes = lines.concat();
    }
}

/// Every line without `#`, and every text in quotes or between `=` and `,`, found without the reader.
fn allowed(bytes: &[u8]) -> (HashSet<String>, HashSet<String>) {
    let bytes = match bytes {
        [0xff, 0xfe, rest @ ..] => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            let units: Vec<u16> = units.collect();
            String::from_utf16_lossy(&units).into_bytes()
        }
        bytes => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).to_vec(),
    };
    let (mut lines, mut values) = (HashSet::new(), HashSet::new());
    for line in bytes.split(|byte| b"\r\n".contains(byte)) {
        let text: String = match std::str::from_utf8(line) {
            Ok(text) => text.to_owned(),
            Err(_) => line
                .iter()
                .map(|&b| if b < 128 { char::from(b).to_string() } else { format!("%{b:02X}") })
                .collect(),
        };
        let text = text.trim_matches([' ', '\t', '\x0c']).to_owned();
        if text.starts_with('#') {
            values.extend(text.split('"').map(|part| part.trim().to_owned()));
            let plain = text.split([',', '=']).map(|part| part.trim().to_owned());
            values.extend(plain);
            // An unquoted value may contain an equals sign.
            let after =
                text.match_indices('=').map(|(at, _)| text[at + 1..].split(',').next().unwrap_or_default());
            values.extend(after.map(|part| part.trim().to_owned()));
        } else {
            lines.insert(text);
        }
    }
    (lines, values)
}

fn check(bytes: &[u8], playlist: &Playlist) {
    let (lines, values) = allowed(bytes);
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let is_line = |uri: &str| assert!(lines.contains(uri), "no line is {uri:?}: {}", text());
    let is_value = |uri: &str| assert!(values.contains(uri), "no attribute is {uri:?}: {}", text());
    match playlist {
        Playlist::Master(master) => {
            master.variants.iter().for_each(|variant| is_line(&variant.uri));
            master.sounds.iter().filter_map(|sound| sound.uri.as_deref()).for_each(is_value);
        }
        Playlist::Media(media) => {
            for segment in &media.segments {
                is_line(&segment.uri);
                assert!(segment.seconds.is_finite() && segment.seconds >= 0.0);
                for change in &segment.changes {
                    match change {
                        Change::Map { uri, .. } => is_value(uri),
                        Change::Key(key) => key.uri.iter().for_each(|uri| is_value(uri)),
                    }
                }
            }
        }
    }
}

#[test]
fn no_damage_makes_a_segment() {
    let corpus = playlists();
    assert!(corpus.len() >= 15);
    for bytes in &corpus {
        check(
            bytes,
            &parse(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes))),
        );
    }
    let (mut numbers, mut longest, mut readable) = (Numbers(16), Duration::ZERO, 0);
    for _ in 0..MUTANTS {
        let bytes = mutate(&mut numbers, &corpus);
        let timed = || {
            let begun = Instant::now();
            let parsed = parse(&bytes);
            (begun.elapsed(), parsed)
        };
        let (mut took, parsed) = timed();
        // Another process may have interrupted it.
        for _ in 0..4 {
            if took > LONGEST / 2 {
                took = took.min(timed().0);
            }
        }
        longest = longest.max(took);
        if let Ok(playlist) = parsed {
            readable += 1;
            check(&bytes, &playlist);
        }
    }
    println!("{MUTANTS} damaged playlists, {readable} of them readable, the slowest in {longest:?}");
    assert!(longest < LONGEST, "{longest:?}");
    assert!((MUTANTS / 10..MUTANTS).contains(&readable), "{readable}");
}

/// Each would take minutes with quadratic steps.
#[test]
fn the_largest_playlists_take_linear_time() {
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n";
    let bytes = 8 << 20;
    for line in [
        "#EXTINF:4,\nx\n",
        "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n",
        "\n",
        "#",
        "x",
        "#EXT-X-MEDIA:A=\"",
        "a=b,",
        "\"",
        "\r",
    ] {
        let begun = Instant::now();
        // Whether it is readable does not matter.
        let _ = parse(format!("{head}{}", line.repeat(bytes / line.len())).as_bytes());
        assert!(begun.elapsed() < Duration::from_secs(5), "{line:?}: {:?}", begun.elapsed());
    }
}
