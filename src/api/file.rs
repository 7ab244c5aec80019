//! Streams stored files, whole or one range of them (RFC 9110, section 14).

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bedel_storage::{ObjectInfo, StorageError};

use super::problem::Problem;
use super::state::ApiState;

/// A stored file to send.
#[derive(Debug)]
pub(super) struct StoredFile<'a> {
    /// Storage key.
    pub(super) key: &'a str,
    /// Content type.
    pub(super) content_type: &'static str,
    /// File name for saving, as uploaded.
    pub(super) filename: Option<&'a str>,
    /// Detail of the 404 if the storage has lost it.
    pub(super) missing: &'static str,
}

impl StoredFile<'_> {
    /// 200 with the whole file, or 206 with the part that `Range` names. Multiple ranges get the whole file.
    pub(super) async fn answer(self, state: &ApiState, asked: &HeaderMap) -> Result<Response, Problem> {
        let described = self.describe(state).await?;
        let part = part(asked, &described)?;
        let mut response = self.send(state, &described, part).await?;
        response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        Ok(response)
    }

    /// 200 with the whole file, ignoring `Range`.
    pub(super) async fn whole(self, state: &ApiState) -> Result<Response, Problem> {
        let described = self.describe(state).await?;
        self.send(state, &described, None).await
    }

    async fn describe(&self, state: &ApiState) -> Result<ObjectInfo, Problem> {
        state.environment.storage.info(self.key).await.map_err(|error| self.refused(&error))
    }

    async fn send(
        &self,
        state: &ApiState,
        described: &ObjectInfo,
        part: Option<Range<u64>>,
    ) -> Result<Response, Problem> {
        let range = part.clone().unwrap_or(0..described.size);
        let body = if range.is_empty() {
            Body::empty()
        } else {
            let pieces = state.environment.storage.read(self.key, range.clone()).await;
            Body::from_stream(pieces.map_err(|error| self.refused(&error))?)
        };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        if let Some(etag) = described.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
            headers.insert(header::ETAG, etag);
        }
        if let Some(disposition) = self.filename.and_then(|name| HeaderValue::from_str(&inline(name)).ok()) {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        if part.is_some() {
            headers.insert(header::CONTENT_RANGE, content_range(Some(&range), described.size));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }

    fn refused(&self, error: &StorageError) -> Problem {
        if let StorageError::Missing { .. } = error {
            tracing::error!("a file that a row names is missing in the storage");
            return Problem::not_found(self.missing);
        }
        Problem::storage(error)
    }
}

/// The requested range. None for the whole file: without `Range`, with several ranges, with another unit than
/// bytes, or if `If-Range` names another version.
fn part(asked: &HeaderMap, described: &ObjectInfo) -> Result<Option<Range<u64>>, Problem> {
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(wanted) = text(header::RANGE).filter(|text| text.starts_with("bytes=")) else { return Ok(None) };
    if text(header::IF_RANGE).is_some_and(|known| described.etag.as_deref() != Some(known)) {
        return Ok(None);
    }
    let ranges =
        http_range_header::parse_range_header(wanted).and_then(|parsed| parsed.validate(described.size));
    match ranges.as_deref() {
        Ok([only]) => Ok(Some(*only.start()..*only.end() + 1)),
        Ok(_) => Ok(None),
        Err(_) => {
            let detail = format!("This range does not exist: the file has {} bytes.", described.size);
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", detail);
            Err(problem.with_header(header::CONTENT_RANGE, content_range(None, described.size)))
        }
    }
}

fn content_range(range: Option<&Range<u64>>, size: u64) -> HeaderValue {
    let text = match range {
        Some(range) => format!("bytes {}-{}/{size}", range.start, range.end - 1),
        None => format!("bytes */{size}"),
    };
    HeaderValue::from_str(&text).expect("digits are visible ASCII")
}

/// `Content-Disposition` for any file name (RFC 6266, encoded by RFC 8187). Clients that know only the plain
/// form get the ASCII letters.
fn inline(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c == ' ' || c.is_ascii_alphanumeric() || ".-_()".contains(c) { c } else { '_' })
        .collect();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part_of(range: &str, if_range: Option<&str>) -> Result<Option<Range<u64>>, StatusCode> {
        let mut asked = HeaderMap::new();
        asked.insert(header::RANGE, range.parse().unwrap());
        if let Some(etag) = if_range {
            asked.insert(header::IF_RANGE, etag.parse().unwrap());
        }
        let described = ObjectInfo { size: 100, etag: Some("\"a\"".to_owned()) };
        part(&asked, &described).map_err(|problem| problem.status)
    }

    #[test]
    fn one_part_is_found_and_others_mean_all_or_nothing() {
        for (range, expected) in [
            ("bytes=0-0", Ok(Some(0..1))),
            ("bytes=10-", Ok(Some(10..100))),
            ("bytes=90-1000", Ok(Some(90..100))),
            ("bytes=-7", Ok(Some(93..100))),
            ("bytes=0-1,5-6", Ok(None)),
            ("lines=1-2", Ok(None)),
            ("bytes=100-", Err(StatusCode::RANGE_NOT_SATISFIABLE)),
            ("bytes=5-4", Err(StatusCode::RANGE_NOT_SATISFIABLE)),
            ("bytes=-0", Err(StatusCode::RANGE_NOT_SATISFIABLE)),
            ("bytes=x", Err(StatusCode::RANGE_NOT_SATISFIABLE)),
            ("bytes=99999999999999999999-", Err(StatusCode::RANGE_NOT_SATISFIABLE)),
        ] {
            assert_eq!(part_of(range, None), expected, "{range}");
        }
        assert_eq!(part_of("bytes=0-0", Some("\"a\"")), Ok(Some(0..1)));
        assert_eq!(part_of("bytes=0-0", Some("\"b\"")), Ok(None));
    }

    #[test]
    fn a_name_cannot_leave_its_place() {
        assert_eq!(
            inline("a \"b\"; x=é\r\n.pdf"),
            "inline; filename=\"a _b__ x____.pdf\"; filename*=UTF-8''a%20%22b%22%3B%20x%3D%C3%A9%0D%0A.pdf"
        );
    }
}
