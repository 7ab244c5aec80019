//! What a reverse proxy passes on about the request that it received.
//!
//! A client may send these headers itself. They decide nothing that a client gains by: a page of another site cannot set
//! them, since CORS allows neither to any origin, and forms have no headers.

use axum::http::{HeaderMap, HeaderName, header};

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// True behind a proxy that received the request over TLS.
pub(crate) fn is_https(headers: &HeaderMap) -> bool {
    first(headers, &PROTO).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}

/// The host, with its port, that the browser asked for.
pub(super) fn host(headers: &HeaderMap) -> Option<&[u8]> {
    first(headers, &HOST).or_else(|| headers.get(header::HOST).map(|host| host.as_bytes()))
}

/// The first value of all lines of a header: that of the proxy next to the client.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let lines = headers.get_all(name).iter();
    let mut values =
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    values.find(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "upstream".parse().unwrap());
        for line in lines {
            headers.append(name, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_scheme_is_that_of_the_proxy_next_to_the_client() {
        for lines in [
            &["https"][..],
            &["HTTPS"],
            &["https,http"],
            &["https, http"],
            &["", "https"],
            &["https", "http"],
        ] {
            assert!(is_https(&headers("x-forwarded-proto", lines)), "{lines:?}");
        }
        for lines in [&[][..], &["http"], &["http, https"], &["http", "https"], &["https:"], &["xhttps"]] {
            assert!(!is_https(&headers("x-forwarded-proto", lines)), "{lines:?}");
        }
    }

    #[test]
    fn the_host_is_the_one_that_the_browser_asked_for() {
        assert_eq!(host(&HeaderMap::new()), None);
        assert_eq!(host(&headers("x-forwarded-host", &[])), Some(&b"upstream"[..]));
        for lines in [&["a.example:8443"][..], &["a.example:8443, inner"], &["a.example:8443", "inner"]] {
            assert_eq!(host(&headers("x-forwarded-host", lines)), Some(&b"a.example:8443"[..]), "{lines:?}");
        }
    }
}
