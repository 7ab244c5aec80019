//! Clocks made of a few packets.

use super::*;

/// A clock of packets of one second at these times.
fn clock(times: impl IntoIterator<Item = f64>) -> PacketClock {
    let mut reading = Reading::default();
    for time in times {
        reading.add(&Packet { time: Some(time), length: Some(1.0), is_skipped: false });
    }
    reading.finish()
}

fn seconds(range: Range<u32>) -> impl Iterator<Item = f64> + Clone {
    range.map(f64::from)
}

#[test]
fn lines_of_ffprobe_are_packets_or_nothing() {
    let packet = |time, length, is_skipped| Some(Packet { time, length, is_skipped });
    for (line, expected) in [
        ("1.5,1.4,0.25,K_", packet(Some(1.5), Some(0.25), false)),
        ("-0.021,-0.021,0.021,KD_", packet(Some(-0.021), Some(0.021), true)),
        ("N/A,2,N/A,K_,", packet(Some(2.0), None, false)),
        ("N/A,N/A,N/A,__", packet(None, None, false)),
        ("inf,nan,-1,K_", packet(None, None, false)),
        ("", None),
        ("1,2", None),
    ] {
        assert_eq!(parse(line), expected, "{line}");
    }
}

#[test]
fn a_packet_without_a_length_counts_like_its_neighbours() {
    let mut reading = Reading::default();
    for (time, length) in [(0.0, None), (1.0, Some(1.0)), (2.0, None)] {
        reading.add(&Packet { time: Some(time), length, is_skipped: false });
    }
    let clock = reading.finish();
    assert_eq!((clock.sound, clock.span()), (3.0, 3.0));
    assert!(clock.is_continuous());
}

/// In MPEG-4 the packet before a hole lasts as long as the hole, and those of a clock that went back last
/// one tick.
#[test]
fn aac_is_counted_in_frames() {
    let frame = 1024.0 / 44_100.0;
    let read = |rate: f64, times: Vec<f64>| {
        let mut reading = Reading { lengths: Lengths::Aac(rate), ..Reading::default() };
        for (number, time) in times.iter().enumerate() {
            let length = times.get(number + 1).map(|next| next - time);
            reading.add(&Packet { time: Some(*time), length, is_skipped: false });
        }
        reading.finish()
    };
    let at = |number: u32| f64::from(number) * frame;
    let hole = read(44_100.0, (0..1000).chain(1300..2000).map(at).collect());
    assert!((hole.sound - at(1700)).abs() < 0.001 && (hole.span() - at(2000)).abs() < 0.1, "{hole:?}");
    assert_eq!(hole.judge(Some(at(2000))), Verdict::Hole);
    let ticks = (0..2000).map(|n| at(1000) + f64::from(n) / 44_100.0);
    let stored = read(44_100.0, (0..1000).map(at).chain(ticks).collect());
    assert!((stored.sound - at(3000)).abs() < 0.001 && stored.span() < at(1010), "{stored:?}");
    assert!(!stored.is_continuous() && stored.judge(None) == Verdict::Faulty, "{stored:?}");
    // Two frames' samples from a core of half the rate.
    let double = read(44_100.0, (0..1000).map(|n| at(2 * n)).collect());
    assert!((double.sound - at(2000)).abs() < 0.001 && double.is_continuous(), "{double:?}");
}

#[test]
fn a_clock_that_restarts_goes_back_or_overlaps_is_faulty_whatever_is_announced() {
    let restarts = clock(seconds(0..6).cycle().take(24));
    let goes_back = clock(seconds(0..12).chain(seconds(9..21)));
    let overlaps = clock((0..24).map(|n| f64::from(n) * 0.8));
    for clock in [restarts, goes_back, overlaps] {
        assert_eq!(clock.sound, 24.0);
        for announced in [None, Some(24.0), Some(clock.span())] {
            assert_eq!(clock.judge(announced), Verdict::Faulty, "{clock:?}");
        }
        assert!(!clock.is_continuous());
    }
}

#[test]
fn what_is_announced_tells_a_hole_from_a_jump() {
    let jumps = clock(seconds(0..12).chain(seconds(52..64)));
    assert_eq!((jumps.sound, jumps.span()), (24.0, 64.0));
    assert_eq!(jumps.judge(Some(24.0)), Verdict::Faulty);
    assert_eq!(jumps.judge(Some(64.0)), Verdict::Hole);
    for announced in [None, Some(40.0)] {
        assert_eq!(jumps.judge(announced), Verdict::Jump(12.0..52.0));
    }
    // Within the tolerance the nearer one counts.
    let short = clock(seconds(0..12).chain((12..24).map(|n| f64::from(n) + 1.5)));
    assert_eq!(short.judge(Some(24.0)), Verdict::Faulty);
    assert_eq!(short.judge(Some(25.5)), Verdict::Continuous);
    assert_eq!(short.judge(None), Verdict::Continuous);
}

#[test]
fn jitter_and_priming_are_no_fault() {
    let jitter = (0..24).map(|n| f64::from(n) + f64::from(n % 3) * 0.03 - 0.021);
    let clock = clock(jitter);
    assert!(clock.is_continuous());
    assert_eq!(clock.judge(None), Verdict::Continuous);
}

/// A clock of packets of 0.1 s: each range of tenths is shown or skipped.
fn tenths(has_edits: bool, ranges: &[(Range<u32>, bool)]) -> PacketClock {
    let mut reading = Reading { has_edits, ..Reading::default() };
    for (range, is_skipped) in ranges {
        for tenth in range.clone() {
            let (time, length) = (Some(f64::from(tenth) / 10.0), Some(0.1));
            reading.add(&Packet { time, length, is_skipped: *is_skipped });
        }
    }
    reading.finish()
}

#[test]
fn packets_that_an_edit_list_hides_are_no_sound() {
    // ffmpeg decodes a second ahead of what the second edit shows.
    let ranges = [(0..100, false), (90..100, true), (100..200, false)];
    let edited = tenths(true, &ranges);
    assert!((edited.sound - 20.0).abs() < 0.01 && edited.is_continuous() && edited.is_edited(), "{edited:?}");
    assert_eq!(edited.judge(None), Verdict::Continuous);
    // Fragments that overlap are skipped too.
    let overlapping = tenths(false, &ranges);
    assert!((overlapping.sound - 21.0).abs() < 0.01, "{overlapping:?}");
    assert_eq!(overlapping.judge(None), Verdict::Faulty);
    let restarted = tenths(true, &[(0..60, false), (0..60, true), (60..61, false), (0..60, true)]);
    assert!((restarted.sound - 18.1).abs() < 0.01, "{restarted:?}");
    assert_eq!(restarted.judge(None), Verdict::Faulty);
}

#[test]
fn jitter_changes_no_length() {
    // 48,000 samples a second: at whole milliseconds, 1024 samples look like 960 at times.
    let mut aac = Reading { lengths: Lengths::Aac(48_000.0), ..Reading::default() };
    let mut vorbis = Reading::default();
    for number in 0..28_125 {
        let exact = f64::from(number) * 1024.0 / 48_000.0;
        let jitter = [0.0, 0.001, -0.001, 0.001][number as usize % 4];
        let time = Some(((exact + jitter) * 1000.0).round() / 1000.0);
        aac.add(&Packet { time, length: None, is_skipped: false });
        let time = Some((exact * 1000.0).round() / 1000.0);
        vorbis.add(&Packet { time, length: Some(0.021), is_skipped: false });
    }
    for clock in [aac.finish(), vorbis.finish()] {
        assert!((clock.sound - 600.0).abs() < 0.1, "{clock:?}");
    }
}
