//! Validators: whether two responses carry parts of the same file (RFC 9110, 8.8 and 14.4).

use reqwest::Response;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED};
use serde::{Deserialize, Serialize};

/// The validators of a file, from the headers of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    /// The strong entity tag, with its quotes.
    pub etag: Option<String>,
    /// The `Last-Modified` header.
    pub last_modified: Option<String>,
    /// Bytes of the whole file.
    pub total: Option<u64>,
}

impl Validator {
    /// From a response with the whole file.
    pub(super) fn of_whole(response: &Response) -> Self {
        Self { total: response.content_length(), ..Self::of_headers(response) }
    }

    fn of_headers(response: &Response) -> Self {
        let text = |name: HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        // A weak tag promises the same meaning, not the same bytes.
        let etag = text(ETAG).filter(|tag| tag.starts_with('"'));
        Self { etag, last_modified: text(LAST_MODIFIED), total: None }
    }

    /// The value of `If-Range`: the tag, or else the date. Without either a download cannot resume.
    pub(super) fn if_range(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }

    /// True where a response with status 206 continues the same file at byte `from`.
    pub(super) fn is_continued_by(&self, response: &Response, from: u64) -> bool {
        let Some(range) = ContentRange::of(response) else { return false };
        let new = Self::of_headers(response);
        let same = |old: &Option<String>, new: &Option<String>| new.is_none() || old == new;
        range.first == Some(from)
            && (self.total.is_none() || range.total.is_none() || self.total == range.total)
            && same(&self.etag, &new.etag)
            && (self.etag.is_some() || same(&self.last_modified, &new.last_modified))
    }
}

/// A `Content-Range` header: `bytes FIRST-LAST/TOTAL`, `bytes FIRST-LAST/*` or `bytes */TOTAL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn of(response: &Response) -> Option<Self> {
        Self::parse(response.headers().get(CONTENT_RANGE)?.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
        let total = match total.trim() {
            "*" => None,
            number => Some(number.parse().ok()?),
        };
        if range.trim() == "*" {
            return Some(Self { first: None, last: None, total });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        let fits = first <= last && total.is_none_or(|total| last < total);
        fits.then_some(Self { first: Some(first), last: Some(last), total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        let table = [
            ("bytes 0-9/10", range(Some(0), Some(9), Some(10))),
            ("bytes 5-9/*", range(Some(5), Some(9), None)),
            ("bytes */10", range(None, None, Some(10))),
            ("bytes 0-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes 0-9", None),
            ("bytes -9/10", None),
            ("items 0-9/10", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(ContentRange::parse(text), expected, "{text}");
        }
    }
}
