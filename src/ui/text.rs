//! Times, lengths and sizes as people read them.

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{Markup, html};

/// A time. The script shows it relative to now, in the reader's zone.
pub(super) fn time(at: DateTime<Utc>) -> Markup {
    let exact = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let text = at.format("%Y-%m-%d %H:%M UTC").to_string();
    html! { time.nowrap datetime=(exact) title=(text) { (text) } }
}

/// A position in a recording: `4:05` or `1:04:05`.
pub(super) fn clock(seconds: f64) -> String {
    // Recordings last hours: the number is small, and a negative one counts as 0.
    let seconds = seconds.max(0.0) as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A wait: `about 40 s`, `about 5 min`, `about 2 h 10 min`.
pub(super) fn wait(seconds: i32) -> String {
    match seconds {
        ..60 => format!("about {} s", seconds.max(1)),
        60..3600 => format!("about {} min", (seconds + 30) / 60),
        _ => format!("about {} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A size: `820 B`, `12 KB`, `3.4 MB`.
pub(super) fn size(bytes: i64) -> String {
    const KB: i64 = 1000;
    match bytes {
        ..KB => format!("{bytes} B"),
        KB..1_000_000 => format!("{} KB", bytes / KB),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// A share of 1 in percent.
pub(super) fn percent(share: f32) -> u8 {
    (share.clamp(0.0, 1.0) * 100.0).floor() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_sizes_are_short() {
        assert_eq!(clock(5.9), "0:05");
        assert_eq!(clock(3845.0), "1:04:05");
        assert_eq!(clock(-1.0), "0:00");
        assert_eq!(
            (wait(0), wait(40), wait(290), wait(7800)),
            ("about 1 s".into(), "about 40 s".into(), "about 5 min".into(), "about 2 h 10 min".into())
        );
        assert_eq!(
            (size(820), size(12_345), size(3_456_789)),
            ("820 B".into(), "12 KB".into(), "3.4 MB".into())
        );
        assert_eq!((percent(0.999), percent(2.0), percent(f32::NAN)), (99, 100, 0));
    }
}
