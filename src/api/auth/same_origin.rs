//! The rule against cross-site request forgery: a cookie counts only for requests of our own pages.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::forwarded::{host, is_https};

/// Fetch Metadata (W3C): where a request came from. Browsers send it over TLS, and over HTTP to this machine.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Fetch Metadata (W3C): what a request is for.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// True if the request came from a page of this origin, or from the user's own hand (the address bar).
///
/// A browser without Fetch Metadata sends `Origin` with each unsafe request; it must name the requested host. `none` is
/// the user's hand or a browser extension, whose requests name its origin. A safe request with neither changes
/// nothing, and its answer is readable by this origin only.
pub(crate) fn is_same_origin(method: &Method, headers: &HeaderMap) -> bool {
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin") => true,
        None | Some(b"none") => match headers.get(header::ORIGIN) {
            Some(origin) => is_ours(origin.as_bytes(), headers),
            None => method.is_safe(),
        },
        Some(_) => false,
    }
}

/// True if the browser shows the answer as a page, such as after a click on another site's link. No page can read it.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is_navigation = headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
    is_navigation && method.is_safe() && !headers.contains_key(header::ORIGIN)
}

/// True for an origin with the requested host. Over TLS an origin without TLS is another one.
fn is_ours(origin: &[u8], headers: &HeaderMap) -> bool {
    let authority = match (origin.strip_prefix(b"https://"), origin.strip_prefix(b"http://")) {
        (Some(authority), _) => authority,
        (None, Some(authority)) if !is_https(headers) => authority,
        _ => return false,
    };
    host(headers).is_some_and(|host| !host.is_empty() && authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, pairs: &[(&'static str, &'static str)]) -> bool {
        is_same_origin(&method, &headers(pairs))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "bedel.example:8080".parse().unwrap());
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_pages_may_use_the_cookie() {
        for (pairs, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (
                &[("sec-fetch-site", "same-origin"), ("host", "upstream"), ("origin", "https://a.example")],
                true,
            ),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "none"), ("origin", "http://bedel.example:8080")], true),
            (&[("sec-fetch-site", "none"), ("origin", "chrome-extension://abc")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://bedel.example:8080")], false),
            (&[("origin", "http://bedel.example:8080")], true),
            (&[("origin", "https://bedel.example:8080")], true),
            (&[("origin", "https://bedel.example:8080"), ("x-forwarded-proto", "https")], true),
            (&[("origin", "http://bedel.example:8080"), ("x-forwarded-proto", "https")], false),
            (&[("origin", "http://bedel.example")], false),
            (&[("origin", "http://evil.example:8080")], false),
            (&[("origin", "chrome-extension://bedel.example:8080")], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://"), ("host", "")], false),
            (&[], false),
        ] {
            assert_eq!(check(Method::POST, pairs), expected, "{pairs:?}");
        }
        assert!(check(Method::GET, &[]));
        assert!(check(Method::GET, &[("sec-fetch-site", "none")]));
        assert!(!check(Method::GET, &[("origin", "http://evil.example")]));
        assert!(!check(Method::GET, &[("sec-fetch-site", "none"), ("origin", "chrome-extension://abc")]));
        assert!(!check(Method::GET, &[("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn a_proxy_may_rewrite_the_host_if_it_passes_the_first_one_on() {
        let passed_on = ("x-forwarded-host", "bedel.example:8080");
        for (pairs, expected) in [
            (&[("host", "upstream"), passed_on, ("origin", "http://bedel.example:8080")][..], true),
            (&[("host", "upstream"), passed_on, ("origin", "http://upstream")], false),
            (&[("host", "upstream"), ("origin", "http://bedel.example:8080")], false),
        ] {
            assert_eq!(check(Method::POST, pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn only_what_no_page_can_read_is_a_navigation() {
        let navigation = [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")];
        assert!(is_navigation(&Method::GET, &headers(&navigation)));
        assert!(!is_navigation(&Method::POST, &headers(&navigation)));
        assert!(!is_navigation(&Method::GET, &headers(&[navigation[0], ("sec-fetch-mode", "cors")])));
        assert!(!is_navigation(&Method::GET, &headers(&[navigation[1], ("origin", "https://a.example")])));
        assert!(!is_navigation(&Method::GET, &headers(&[])));
    }
}
