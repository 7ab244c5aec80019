//! What a `Range` header asks for.

use std::ops::Range;

use crate::Request;

/// What part of a file a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// No range, or one that a server may ignore: several ranges, another unit, nonsense (RFC 9110, 14.2).
    Whole,
    Part(Range<usize>),
    /// Begins behind the end.
    NotThere,
}

/// The part of a file of `length` bytes that `request` asks for. A range is for the file that the client knows: with an
/// `If-Range` that is not one of `validators`, the whole file is meant. A weak tag (`W/"…"`) is none of them.
pub(super) fn asked(request: &Request, length: usize, validators: &[&str]) -> Asked {
    let Some(range) = request.header("range") else { return Asked::Whole };
    if request.header("if-range").is_some_and(|known| !validators.contains(&known)) {
        return Asked::Whole;
    }
    parse(range, length).unwrap_or(Asked::Whole)
}

fn parse(range: &str, length: usize) -> Option<Asked> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let part = if first.is_empty() {
        let wanted: usize = last.parse().ok()?;
        length.saturating_sub(wanted)..length
    } else {
        let first: usize = first.parse().ok()?;
        let end =
            if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1).min(length) };
        if first < length && first >= end {
            return None;
        }
        first..end
    };
    Some(if part.start < length { Asked::Part(part) } else { Asked::NotThere })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        let table = [
            ("bytes=0-", Asked::Part(0..10)),
            ("bytes=3-5", Asked::Part(3..6)),
            ("bytes=9-9", Asked::Part(9..10)),
            ("bytes=3-99", Asked::Part(3..10)),
            ("bytes=-4", Asked::Part(6..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=10-", Asked::NotThere),
            ("bytes=10-12", Asked::NotThere),
            ("bytes=-0", Asked::NotThere),
            ("bytes=5-3", Asked::Whole),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("lines=0-1", Asked::Whole),
        ];
        for (range, expected) in table {
            assert_eq!(parse(range, 10).unwrap_or(Asked::Whole), expected, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(Asked::NotThere));
    }
}
