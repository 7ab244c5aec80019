//! The cookie of a session.
//!
//! Over TLS its name begins with `__Host-`. Browsers take such a cookie over TLS alone, from the host itself, so no
//! other site can plant one. A plain name proves nothing: a page of a subdomain may have set it, or an attacker on plain
//! HTTP. So a request over TLS is authenticated by the first name only, and any other request by the second only.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::forwarded::is_https;
use super::sessions::{MAX_DAYS, SessionId};

/// Name over TLS.
const OVER_TLS: &str = "__Host-bedel_session";

/// Name over plain HTTP.
const PLAIN: &str = "bedel_session";

impl SessionId {
    /// The session that authenticates a request.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        named(headers, if is_https(headers) { OVER_TLS } else { PLAIN })
    }

    /// All sessions of a browser, for signing out: also the one that a request over the other scheme would have.
    pub(crate) fn all(headers: &HeaderMap) -> impl Iterator<Item = Self> {
        [OVER_TLS, PLAIN].into_iter().filter_map(|name| named(headers, name))
    }
}

fn named(headers: &HeaderMap, name: &str) -> Option<SessionId> {
    let pairs =
        headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let value = pairs
        .map(<[u8]>::trim_ascii)
        .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(SessionId(Sha256::digest(value).into()))
}

/// The header that stores the cookie. Browsers send it back to this host only.
pub(crate) fn set_cookie(headers: &HeaderMap, value: &str) -> HeaderValue {
    let seconds = i64::from(MAX_DAYS) * 86_400;
    cookie(is_https(headers), value, seconds)
}

/// The headers that remove the cookie under both names.
pub(crate) fn clear_cookies() -> [HeaderValue; 2] {
    [cookie(true, "", 0), cookie(false, "", 0)]
}

fn cookie(is_secure: bool, value: &str, seconds: i64) -> HeaderValue {
    let (name, secure) = if is_secure { (OVER_TLS, "; Secure") } else { (PLAIN, "") };
    let text = format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).expect("a cookie of ours is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cookies: &[&str], proto: &str) -> Option<SessionId> {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", proto.parse().unwrap());
        for line in cookies {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        SessionId::of(&headers)
    }

    fn session(value: &str) -> Option<SessionId> {
        Some(SessionId(Sha256::digest(value).into()))
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(found(&[], "http"), None);
        assert_eq!(found(&["a=b; bedel_session=abc ;c=d"], "http"), session("abc"));
        assert_eq!(
            found(&["a=\u{e9}", "bedel_session=abc"], "http"),
            session("abc"),
            "another's cookie is any text"
        );
        assert_eq!(found(&["xbedel_session=abc; bedel_sessionx=d; bedel_session"], "http"), None);
    }

    #[test]
    fn each_scheme_has_a_name_of_its_own() {
        let both = "bedel_session=planted; __Host-bedel_session=own";
        assert_eq!(found(&[both], "https"), session("own"));
        assert_eq!(found(&[both], "http"), session("planted"));
        assert_eq!(found(&["bedel_session=planted"], "https"), None);
        assert_eq!(found(&["__Host-bedel_session=own"], "http"), None);
    }

    #[test]
    fn scripts_and_other_sites_do_not_get_the_cookie() {
        let text = |is_secure| cookie(is_secure, "abc", 60).to_str().unwrap().to_owned();
        assert_eq!(text(false), "bedel_session=abc; HttpOnly; SameSite=Strict; Path=/; Max-Age=60");
        assert_eq!(
            text(true),
            "__Host-bedel_session=abc; HttpOnly; SameSite=Strict; Path=/; Max-Age=60; Secure"
        );
    }
}
