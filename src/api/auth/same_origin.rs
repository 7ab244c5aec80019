//! The rule against cross-site request forgery: a cookie counts only for requests of our own pages.

use axum::http::{HeaderMap, HeaderName, Method, header};

/// Fetch Metadata (W3C): where a request came from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// True if the request came from a page of this origin, or from the user's own hand (the address bar).
///
/// A browser without Fetch Metadata sends `Origin` with each unsafe request; it must name the requested host. A safe
/// request without either header changes nothing, and its answer is readable by this origin only.
pub(crate) fn is_same_origin(method: &Method, headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(&SEC_FETCH_SITE) {
        return matches!(site, "same-origin" | "none");
    }
    match text(&header::ORIGIN) {
        Some(origin) => {
            let host = text(&header::HOST).unwrap_or_default();
            !host.is_empty()
                && origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
        }
        None => method.is_safe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "bedel.example:8080".parse().unwrap());
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        is_same_origin(&method, &headers)
    }

    #[test]
    fn only_our_own_pages_may_use_the_cookie() {
        for (pairs, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://bedel.example:8080")], false),
            (&[("origin", "http://bedel.example:8080")], true),
            (&[("origin", "https://bedel.example:8080")], true),
            (&[("origin", "http://bedel.example")], false),
            (&[("origin", "http://evil.example:8080")], false),
            (&[("origin", "null")], false),
            (&[], false),
        ] {
            assert_eq!(check(Method::POST, pairs), expected, "{pairs:?}");
        }
        assert!(check(Method::GET, &[]));
        assert!(!check(Method::GET, &[("sec-fetch-site", "same-site")]));
    }
}
