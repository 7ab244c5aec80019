//! The rules read the text alone. Nothing is dialled.

use super::*;

fn policy() -> FetchPolicy {
    FetchPolicy::listed(
        [
            ".panopto.com",
            ".panopto.eu",
            ".panopto-content.com",
            ".cloudfront.net",
            "lectures.uni.example",
            ".media.uni.example",
            "video.uni.example:8443",
        ]
        .map(str::to_owned)
        .into(),
        ["127.0.0.1:8999", "Dev.Uni.Example:80", "[::1]:8999"].map(str::to_owned).into(),
    )
}

/// The rule that a URL breaks.
#[derive(Debug, PartialEq)]
enum Rule {
    NotAUrl,
    Scheme,
    Unencrypted,
    Credentials,
    NotPublic,
    Host,
}

fn rule(text: &str) -> Option<Rule> {
    policy().check(text).err().map(|refusal| match refusal {
        UrlRefusal::NotAUrl => Rule::NotAUrl,
        UrlRefusal::Scheme => Rule::Scheme,
        UrlRefusal::Unencrypted => Rule::Unencrypted,
        UrlRefusal::Credentials => Rule::Credentials,
        UrlRefusal::NotPublic { .. } => Rule::NotPublic,
        UrlRefusal::HostNotListed { .. } => Rule::Host,
        other => panic!("{text}: {other}"),
    })
}

#[test]
fn every_url_meets_its_rule() {
    let table = [
        // Sources of recordings.
        ("https://rochester.hosted.panopto.com/Panopto/Podcast/Download/x.mp4", None),
        ("https://ROCHESTER.Hosted.Panopto.COM./x", None),
        ("https://a.cloud.panopto.eu/x", None),
        ("https://d2y36twrtb17ty.cloudfront.net/sessions/a/b.hls/master.m3u8?Policy=x", None),
        ("https://media.panopto-content.com:443/x", None),
        ("https://lectures.uni.example/x", None),
        ("https://a.b.media.uni.example/x", None),
        ("https://video.uni.example:8443/x", None),
        // Listed for development.
        ("http://127.0.0.1:8999/x", None),
        ("http://2130706433:8999/x", None),
        ("http://[::1]:8999/x", None),
        ("http://dev.uni.example/x", None),
        // Other schemes.
        ("ftp://rochester.hosted.panopto.com/x", Some(Rule::Scheme)),
        ("file:///etc/passwd", Some(Rule::Scheme)),
        ("gopher://rochester.hosted.panopto.com/", Some(Rule::Scheme)),
        ("data:text/plain,x", Some(Rule::Scheme)),
        ("concat:https://a.panopto.com/1|https://a.panopto.com/2", Some(Rule::Scheme)),
        ("subfile:,,start,0,end,0,,:/etc/passwd", Some(Rule::Scheme)),
        ("rtmp://a.panopto.com/x", Some(Rule::Scheme)),
        ("javascript:alert(1)", Some(Rule::Scheme)),
        ("http://rochester.hosted.panopto.com/x", Some(Rule::Unencrypted)),
        ("http://8.8.8.8/", Some(Rule::Unencrypted)),
        // User names.
        ("https://user@a.panopto.com/", Some(Rule::Credentials)),
        ("https://:secret@a.panopto.com/", Some(Rule::Credentials)),
        ("https://a:b@a.panopto.com/", Some(Rule::Credentials)),
        ("http://rochester.hosted.panopto.com@169.254.169.254/", Some(Rule::Credentials)),
        ("http://u@127.0.0.1:8999/x", Some(Rule::Credentials)),
        // Not a web address.
        ("", Some(Rule::NotAUrl)),
        ("not a url", Some(Rule::NotAUrl)),
        ("https://", Some(Rule::NotAUrl)),
        ("//a.panopto.com/x", Some(Rule::NotAUrl)),
        ("https://[a.panopto.com]/", Some(Rule::NotAUrl)),
        ("https://1.2.3.256/", Some(Rule::NotAUrl)),
        // Special addresses, in every spelling.
        ("https://127.0.0.1/", Some(Rule::NotPublic)),
        ("http://127.0.0.1:8998/", Some(Rule::NotPublic)),
        ("http://127.0.0.2:8999/", Some(Rule::NotPublic)),
        ("https://2130706433/", Some(Rule::NotPublic)),
        ("https://0x7f.1/", Some(Rule::NotPublic)),
        ("https://0x7f000001/", Some(Rule::NotPublic)),
        ("https://0177.0.0.1/", Some(Rule::NotPublic)),
        ("https://127.1/", Some(Rule::NotPublic)),
        ("https://127.0.0.1./", Some(Rule::NotPublic)),
        ("https://１２７.0.0.1/", Some(Rule::NotPublic)),
        ("https://①②⑦.0.0.1/", Some(Rule::NotPublic)),
        ("https://0/", Some(Rule::NotPublic)),
        ("https://10.0.0.1:8080/", Some(Rule::NotPublic)),
        ("https://100.64.0.1/", Some(Rule::NotPublic)),
        ("https://169.254.169.254/latest/meta-data", Some(Rule::NotPublic)),
        ("https://172.16.0.1/", Some(Rule::NotPublic)),
        ("https://192.168.1.1/", Some(Rule::NotPublic)),
        ("https://224.0.0.1/", Some(Rule::NotPublic)),
        ("https://255.255.255.255/", Some(Rule::NotPublic)),
        ("https://[::1]/", Some(Rule::NotPublic)),
        ("https://[::]/", Some(Rule::NotPublic)),
        ("https://[::ffff:127.0.0.1]/", Some(Rule::NotPublic)),
        ("https://[::ffff:7f00:1]/", Some(Rule::NotPublic)),
        ("https://[::127.0.0.1]/", Some(Rule::NotPublic)),
        ("https://[64:ff9b::7f00:1]/", Some(Rule::NotPublic)),
        ("https://[64:ff9b:1::a00:1]/", Some(Rule::NotPublic)),
        ("https://[2002:7f00:1::]/", Some(Rule::NotPublic)),
        ("https://[fd00:ec2::254]/", Some(Rule::NotPublic)),
        ("https://[fe80::1]/", Some(Rule::NotPublic)),
        ("https://[ff02::1]/", Some(Rule::NotPublic)),
        // Public, but not listed.
        ("https://8.8.8.8/", Some(Rule::Host)),
        ("https://[2606:4700::1111]/", Some(Rule::Host)),
        ("https://evil.example/x", Some(Rule::Host)),
        ("https://localhost/x", Some(Rule::Host)),
        ("https://panopto.com/x", Some(Rule::Host)),
        ("https://.panopto.com/x", Some(Rule::Host)),
        ("https://a.panopto.com../x", Some(Rule::Host)),
        ("https://evilpanopto.com/x", Some(Rule::Host)),
        ("https://rochester.hosted.panopto.com.evil.example/x", Some(Rule::Host)),
        ("https://evil.example\\@rochester.hosted.panopto.com/", Some(Rule::Host)),
        ("https://rochester.hosted.panopto.com:8443/x", Some(Rule::Host)),
        ("https://lectures.uni.example:8443/x", Some(Rule::Host)),
        ("https://video.uni.example/x", Some(Rule::Host)),
        ("https://media.uni.example/x", Some(Rule::Host)),
        ("https://xmedia.uni.example/x", Some(Rule::Host)),
        ("https://cloudfrоnt.net/x", Some(Rule::Host)), // a Cyrillic о
        ("https://a.cloudfrоnt.net/x", Some(Rule::Host)),
    ];
    assert!(table.len() >= 60, "{}", table.len());
    for (text, expected) in table {
        assert_eq!(rule(text), expected, "{text}");
    }
    let long = format!("https://a.panopto.com/{}", "a".repeat(MAX_LENGTH));
    assert_eq!(policy().check(&long).err(), Some(UrlRefusal::TooLong));
}

#[test]
fn a_refusal_names_the_rule_and_no_address() {
    for text in
        ["https://10.1.2.3/x?token=secret", "https://[fd00::17]/", "https://203.0.113.9/", "https://8.8.4.4/"]
    {
        let refusal = policy().check(text).expect_err("a refusal").to_string();
        for part in ["10.1.2.3", "fd00", "203.0", "8.8.4.4", "secret"] {
            assert!(!refusal.contains(part), "{refusal}");
        }
    }
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

#[test]
fn an_operators_url_may_be_private_but_must_be_http() {
    let operator = FetchPolicy::operator();
    for text in ["http://10.1.2.3:8000/v1", "http://speech/v1", "https://user:key@models.example/x.bin"] {
        assert!(operator.check(text).is_ok(), "{text}");
    }
    for text in ["ftp://models.example/x.bin", "file:///etc/passwd", "data:text/plain,x"] {
        assert_eq!(operator.check(text).err(), Some(UrlRefusal::Scheme), "{text}");
    }
}
