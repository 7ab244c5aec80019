//! Parses `Range` headers.

use std::ops::Range;

use crate::request::Request;

/// The part of a file that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// No range, or one that a server may ignore: several ranges, another unit, a syntax error (RFC 9110,
    /// 14.2).
    Whole,
    Part(Range<usize>),
    /// Starts after the end.
    NotSatisfiable,
}

/// The part of a file of `length` bytes that `request` asks for. If `If-Range` is none of `validators`, the
/// file has changed and the answer is the whole file. A weak tag (`W/"…"`) never matches.
pub(super) fn requested(request: &Request, length: usize, validators: &[&str]) -> RequestedRange {
    let Some(range) = request.header("range") else { return RequestedRange::Whole };
    if request.header("if-range").is_some_and(|known| !validators.contains(&known)) {
        return RequestedRange::Whole;
    }
    parse(range, length).unwrap_or(RequestedRange::Whole)
}

fn parse(range: &str, length: usize) -> Option<RequestedRange> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let part = if first.is_empty() {
        let suffix: usize = last.parse().ok()?;
        length.saturating_sub(suffix)..length
    } else {
        let first: usize = first.parse().ok()?;
        let end =
            if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1).min(length) };
        if first < length && first >= end {
            return None;
        }
        first..end
    };
    Some(if part.start < length { RequestedRange::Part(part) } else { RequestedRange::NotSatisfiable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parsed_as_rfc_9110_says() {
        let table = [
            ("bytes=0-", RequestedRange::Part(0..10)),
            ("bytes=3-5", RequestedRange::Part(3..6)),
            ("bytes=9-9", RequestedRange::Part(9..10)),
            ("bytes=3-99", RequestedRange::Part(3..10)),
            ("bytes=-4", RequestedRange::Part(6..10)),
            ("bytes=-99", RequestedRange::Part(0..10)),
            ("bytes=10-", RequestedRange::NotSatisfiable),
            ("bytes=10-12", RequestedRange::NotSatisfiable),
            ("bytes=-0", RequestedRange::NotSatisfiable),
            ("bytes=5-3", RequestedRange::Whole),
            ("bytes=0-1,4-5", RequestedRange::Whole),
            ("bytes=a-b", RequestedRange::Whole),
            ("bytes=-", RequestedRange::Whole),
            ("lines=0-1", RequestedRange::Whole),
        ];
        for (range, expected) in table {
            assert_eq!(parse(range, 10).unwrap_or(RequestedRange::Whole), expected, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Some(RequestedRange::NotSatisfiable));
    }
}
