//! What a URL may look like, before anything is dialled.

use url::{Host, Url};

use super::address;

/// Longest URL accepted, in bytes. Signed stream addresses have some hundreds.
const MAX_LENGTH: usize = 4096;

/// Why a URL is not fetched. The texts are for a person and repeat nothing of the URL but its host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// It cannot be read as a URL.
    #[error("it is not a web address")]
    NotAUrl,
    /// It is longer than 4096 bytes.
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// Neither http nor https.
    #[error("only http and https addresses are fetched")]
    Scheme,
    /// It has a user name or a password.
    #[error("it contains a user name or a password")]
    Credentials,
    /// Its host is, or resolves to, an address that the public cannot reach.
    #[error("{host} is in a network that is not public ({what})")]
    NotPublic {
        /// The host.
        host: String,
        /// What the address is, such as `loopback`.
        what: &'static str,
    },
    /// A redirect from https to http.
    #[error("{host} led from an encrypted to an unencrypted address")]
    Downgrade {
        /// The host that the redirect led to.
        host: String,
    },
}

/// Which client may fetch a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The one that refuses special addresses.
    Public,
    /// The one that does not, for a `host:port` that the configuration lists.
    Development,
}

/// Reads `text` as a URL that may be fetched, by everything that can be known without resolving its name.
///
/// # Errors
/// Says which rule it breaks.
pub fn check_url(text: &str, allowed_private: &[String]) -> Result<Url, UrlRefusal> {
    if text.len() > MAX_LENGTH {
        return Err(UrlRefusal::TooLong);
    }
    let url = Url::parse(text).map_err(|_| UrlRefusal::NotAUrl)?;
    check(&url, allowed_private)?;
    Ok(url)
}

/// The rules for one URL. The URL parser has already turned other spellings of an address (decimal, octal, hex) into
/// the usual one.
pub(super) fn check(url: &Url, allowed_private: &[String]) -> Result<Reach, UrlRefusal> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlRefusal::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlRefusal::Credentials);
    }
    let literal = match url.host() {
        None => return Err(UrlRefusal::NotAUrl),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(v4)) => Some(v4.into()),
        Some(Host::Ipv6(v6)) => Some(v6.into()),
    };
    if is_listed(url, allowed_private) {
        return Ok(Reach::Development);
    }
    match literal.and_then(address::special) {
        Some(what) => Err(UrlRefusal::NotPublic { host: host(url), what }),
        None => Ok(Reach::Public),
    }
}

/// The URL that a redirect names. It is checked like any other when it is asked.
pub(super) fn next_hop(from: &Url, target: &str) -> Result<Url, UrlRefusal> {
    let next = from.join(target).map_err(|_| UrlRefusal::NotAUrl)?;
    if from.scheme() == "https" && next.scheme() == "http" {
        return Err(UrlRefusal::Downgrade { host: host(&next) });
    }
    Ok(next)
}

/// The host, for messages.
pub(super) fn host(url: &Url) -> String {
    url.host_str().unwrap_or("the address").to_owned()
}

/// True for the path of a sign-in page, such as `/Panopto/Pages/Auth/Login.aspx`.
pub(super) fn is_login_path(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    let last = path.rsplit('/').next().unwrap_or_default();
    let stem = last.split('.').next().unwrap_or_default();
    matches!(stem, "login" | "logon" | "signin" | "sign-in" | "log-in") || path.contains("/auth/login")
}

/// True where the configuration lists the URL's `host:port`.
fn is_listed(url: &Url, allowed_private: &[String]) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    let pair = format!("{host}:{port}");
    allowed_private.iter().any(|listed| listed.trim().eq_ignore_ascii_case(&pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, allowed: &[&str]) -> Option<UrlRefusal> {
        let allowed: Vec<String> = allowed.iter().map(|&pair| pair.to_owned()).collect();
        check_url(text, &allowed).err()
    }

    /// Nothing is dialled here: the rules decide by the text alone.
    #[test]
    fn urls_that_are_refused() {
        for text in
            ["ftp://example.org/x", "file:///etc/passwd", "gopher://example.org/", "data:text/plain,x"]
        {
            assert_eq!(refusal(text, &[]), Some(UrlRefusal::Scheme), "{text}");
        }
        for text in ["https://user@example.org/", "https://:secret@example.org/", "https://a:b@example.org/"]
        {
            assert_eq!(refusal(text, &[]), Some(UrlRefusal::Credentials), "{text}");
        }
        for text in ["", "not a url", "https://", "//example.org/x", "https://[example.org]/"] {
            assert_eq!(refusal(text, &[]), Some(UrlRefusal::NotAUrl), "{text}");
        }
        let literals = [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "https://127.0.0.1./",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://169.254.169.254/latest/",
            "http://[fd00:ec2::254]/",
            "http://10.0.0.1:8080/",
            "http://１２７.0.0.1/",
        ];
        for text in literals {
            assert!(matches!(refusal(text, &[]), Some(UrlRefusal::NotPublic { .. })), "{text}");
        }
        let long = format!("https://example.org/{}", "a".repeat(MAX_LENGTH));
        assert_eq!(refusal(&long, &[]), Some(UrlRefusal::TooLong));
    }

    #[test]
    fn only_the_listed_port_of_a_listed_host_may_be_private() {
        let listed = ["127.0.0.1:8999", "LocalHost:80", "[::1]:8999"];
        for text in
            ["http://127.0.0.1:8999/x", "http://localhost/x", "http://[::1]:8999/", "http://2130706433:8999/"]
        {
            assert_eq!(refusal(text, &listed), None, "{text}");
        }
        for text in ["http://127.0.0.1/x", "http://127.0.0.1:8998/x", "http://127.0.0.2:8999/x"] {
            assert!(matches!(refusal(text, &listed), Some(UrlRefusal::NotPublic { .. })), "{text}");
        }
        assert_eq!(refusal("http://u@127.0.0.1:8999/x", &listed), Some(UrlRefusal::Credentials));
        let other_port = Url::parse("http://localhost:8080/").expect("a URL");
        assert_eq!(check(&other_port, &["localhost:80".to_owned()]), Ok(Reach::Public));
    }

    #[test]
    fn a_redirect_keeps_encryption_and_knows_sign_in_pages() {
        let from = Url::parse("https://example.org/a/b").expect("a URL");
        assert_eq!(next_hop(&from, "../c?d=1").map(String::from), Ok("https://example.org/c?d=1".to_owned()));
        assert!(matches!(next_hop(&from, "http://example.org/"), Err(UrlRefusal::Downgrade { .. })));
        for (path, login) in [
            ("/Panopto/Pages/Auth/Login.aspx?ReturnUrl=x", true),
            ("/signin", true),
            ("/Panopto/Podcast/Download/login-lecture.mp4", false),
            ("/media.mp4", false),
        ] {
            let url = from.join(path).expect("a URL");
            assert_eq!(is_login_path(&url), login, "{path}");
        }
    }
}
