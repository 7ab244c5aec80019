//! Outgoing HTTP against a server that misbehaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bedel_fetch::body::BodyKind;
use bedel_fetch::{FetchError, FetchPolicy, Fetcher, MediaDownload, PartFile, UrlRefusal};
use bedel_queue::JobError;
use bedel_upstream::media::recording;
use bedel_upstream::{Fault, Reply, Resource, Upstream};
use url::Url;

use crate::environment::{decision, fetch_policy, fetcher};

/// Bytes that begin like an MPEG-4 file.
fn media(length: usize) -> Vec<u8> {
    let mut bytes = b"\0\0\0\x20ftypisom".to_vec();
    bytes.extend((bytes.len()..length).map(|n| (n % 251) as u8));
    bytes
}

struct Fixture {
    upstream: Upstream,
    policy: FetchPolicy,
    fetcher: Fetcher,
    directory: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let upstream = Upstream::start().await;
        let policy = fetch_policy(&upstream);
        let fetcher = fetcher(policy.clone());
        Self { upstream, policy, fetcher, directory: tempfile::tempdir().expect("a directory") }
    }

    fn url(&self, path: &str) -> Url {
        self.upstream.url(path).parse().expect("a URL")
    }

    async fn download(&self, url: &Url) -> Result<(), FetchError> {
        self.transfer(url, |_, _| ()).await.map(drop)
    }

    /// A new file each time, without parts of earlier transfers.
    async fn transfer(
        &self,
        url: &Url,
        progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<MediaDownload, FetchError> {
        let path = |name: &str| self.directory.path().join(name);
        let lock = Arc::new(std::fs::File::create(path("lock")).expect("a lock"));
        let _ = std::fs::remove_file(path("file"));
        let mut part = PartFile::open(&path("file"), &lock, url).await.expect("a file");
        self.fetcher.download_media(url, &mut part, progress).await
    }

    /// The result of this reply. The URL has a secret, which must not appear anywhere.
    async fn failure(&self, reply: Reply) -> FetchError {
        self.upstream.on("/media", [reply]);
        let error = self.download(&self.url("/media?token=secret")).await.expect_err("a failure");
        let shown = format!("{error} {error:?} {:?}", JobError::from(error.clone()));
        assert!(!shown.contains("secret") && !shown.contains("/media"), "{shown}");
        error
    }
}

#[tokio::test]
async fn a_media_file_arrives_whole() {
    let fixture = Fixture::new().await;
    for (length, reply) in [
        (300_000, Reply::media(media(300_000))),
        (300_000, Reply::media(media(300_000)).without_length()),
        (40, Reply::media(media(40))),
        (4000, Reply::media(media(4000)).drip(1000, Duration::from_millis(200))),
    ] {
        fixture.upstream.on("/media", [reply.clone()]);
        let file = fixture.directory.path().join("file");
        let mut seen = Vec::new();
        let progress = |done, total| seen.push((done, total));
        fixture.transfer(&fixture.url("/media?x=1"), progress).await.expect("the file");
        assert_eq!(std::fs::read(&file).expect("the file"), media(length as usize));
        assert_eq!(seen.last().map(|last| last.0), Some(length));
        assert!(seen.is_sorted(), "progress never goes back");
    }
    let request = fixture.upstream.requests().remove(0);
    assert_eq!((request.method.as_str(), request.target.as_str()), ("GET", "/media?x=1"));
    assert_eq!(request.headers.get("accept-encoding").map(String::as_str), Some("identity"));
}

#[tokio::test]
async fn broken_transfers_are_retried() {
    let fixture = Fixture::new().await;
    let whole = Reply::media(media(100_000));
    let host = || "127.0.0.1".to_owned();
    let cut = |received, announced| FetchError::Cut { host: host(), received, announced };
    assert_eq!(fixture.failure(whole.clone().cut_half_way()).await, cut(50_000, 100_000));
    assert_eq!(fixture.failure(whole.clone().cut_at(0)).await, cut(0, 100_000));
    assert_eq!(fixture.failure(whole.clone().announce_length(100_001)).await, cut(100_000, 100_001));
    assert_eq!(decision(&cut(1, 2).into()), ("truncated", "retry"));

    let before = Instant::now();
    let stalled = FetchError::Stalled { host: host(), seconds: 0 };
    assert_eq!(fixture.failure(whole.clone().stall_at(50_000)).await, stalled);
    assert_eq!(fixture.failure(whole.clone().stall_at(0)).await, stalled);
    assert_eq!(fixture.failure(Reply::silent()).await, stalled);
    assert!(before.elapsed() < Duration::from_secs(5), "each waits for the stall timeout alone");
    assert_eq!(decision(&stalled.into()), ("stalled", "retry"));
}

/// Servers that answer every request for the rest with status 206.
#[tokio::test]
async fn the_rest_of_another_file_is_refused() {
    let fixture = Fixture::new().await;
    let (file, at, rest) = (media(100_000), 40_000, 60_000);
    let mut other = file.clone();
    other[100..].reverse();
    let whole = |bytes: &[u8], etag: &str| Reply::media(bytes.to_vec()).header("etag", etag);
    let part = |bytes: &[u8], first: usize, length: usize, etag: &str| {
        let range = format!("bytes {first}-{}/{}", first + length - 1, bytes.len());
        let part = bytes[first..first + length].to_vec();
        Reply::new(206, "video/mp4", part).header("content-range", &range).header("etag", etag)
    };
    let (one, two) = ("\"one\"", "\"two\"");
    let table = [
        ("another version", part(&other, at, rest, two), whole(&other, two), &other),
        ("another place", part(&file, 7, rest, one), whole(&file, one), &file),
        ("less than the rest", part(&file, at, 1000, one), whole(&file, one), &file),
    ];
    for (name, rest, anew, expected) in table {
        fixture.upstream.on("/media", [whole(&file, one).cut_at(at), rest, anew]);
        fixture.download(&fixture.url("/media")).await.expect(name);
        let arrived = std::fs::read(fixture.directory.path().join("file")).expect("the file");
        assert!(arrived == *expected, "{name}: {} bytes", arrived.len());
    }
}

/// S3 keeps what an uploader wrote into `Content-Encoding`.
#[tokio::test]
async fn an_encoding_that_names_no_coding_is_accepted() {
    let fixture = Fixture::new().await;
    let plain = [
        "",
        " ",
        "none",
        "NONE",
        "identity",
        "aws-chunked",
        "aws-chunked,identity",
        " Identity , AWS-Chunked,",
    ];
    for encoding in plain {
        fixture.upstream.on("/media", [Reply::media(media(40)).header("content-encoding", encoding)]);
        fixture
            .download(&fixture.url("/media"))
            .await
            .unwrap_or_else(|error| panic!("{encoding:?}: {error}"));
        assert_eq!(std::fs::read(fixture.directory.path().join("file")).expect("the file"), media(40));
    }
    for encoding in
        ["gzip", "br", "zstd", "deflate", "compress", "x-unknown", "identity, gzip", "aws-chunked,gzip"]
    {
        let error = fixture.failure(Reply::media(media(40)).header("content-encoding", encoding)).await;
        assert_eq!(error, FetchError::Encoded { host: "127.0.0.1".to_owned() }, "{encoding}");
        assert_eq!(decision(&error.into()), ("upstream-refused", "fatal"));
    }
    // The chunks of the upload are still there.
    let signature = "0f".repeat(32);
    for head in [format!("28;chunk-signature={signature}\r\n"), "28\r\n".to_owned()] {
        let body = [head.as_bytes(), &media(40), b"\r\n0\r\n\r\n"].concat();
        let error = fixture.failure(Reply::media(body).header("content-encoding", "aws-chunked")).await;
        assert_eq!(error, FetchError::NotMedia { host: "127.0.0.1".to_owned(), found: BodyKind::AwsChunks });
        assert!(error.to_string().contains("aws-chunked"), "{error}");
    }
}

/// The media says where it ends.
#[tokio::test]
async fn a_wrong_length_neither_loses_nor_cuts_media() {
    let fixture = Fixture::new().await;
    let whole = recording(fixture.directory.path(), 3, false);
    let half = whole.slice(..whole.len() / 2);
    let file = || std::fs::read(fixture.directory.path().join("file")).expect("the file");
    let (url, length) = (fixture.url("/media"), whole.len());

    // Too much: with and without validators, ranges, and a server that repeats its error for the rest.
    let more = || Fault::Announce(length + 1000);
    for (name, resource) in [
        ("ranges", Resource::new(whole.clone()).first(1, more())),
        ("always", Resource::new(whole.clone()).always(more())),
        ("no ranges", Resource::new(whole.clone()).always(more()).always(Fault::IgnoreRange)),
        ("no validators", Resource::new(whole.clone()).always(more()).always(Fault::NoValidators)),
    ] {
        fixture.upstream.serve("/media", resource);
        fixture.download(&url).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(file(), whole, "{name}");
    }
    let half_length = half.len() as u64;
    for (name, resource) in [
        ("half", Resource::new(half.clone()).always(Fault::Announce(length)).always(Fault::NoValidators)),
        (
            "half, with ranges",
            Resource::new(half.clone()).always(Fault::Announce(length)).always(Fault::IgnoreRange),
        ),
    ] {
        fixture.upstream.serve("/media", resource);
        let error = fixture.download(&url).await.expect_err(name);
        let announced = length as u64;
        assert_eq!(
            error,
            FetchError::Cut { host: "127.0.0.1".to_owned(), received: half_length, announced },
            "{name}"
        );
    }

    // Too little: the rest comes by range, or the half is kept and the probe refuses it.
    for announced in [0, 1000, length / 2, length - 1] {
        let resource = Resource::new(whole.clone()).first(1, Fault::Announce(announced));
        fixture.upstream.serve("/media", resource);
        fixture.download(&url).await.unwrap_or_else(|error| panic!("{announced}: {error}"));
        assert_eq!(file(), whole, "{announced}");
    }
    fixture.upstream.serve(
        "/media",
        Resource::new(whole.clone()).always(Fault::IgnoreRange).always(Fault::Announce(length / 2)),
    );
    fixture.download(&url).await.expect("a half");
    assert_eq!(file(), half);
}

#[tokio::test]
async fn only_media_is_accepted() {
    let fixture = Fixture::new().await;
    let found = |error: FetchError| match error {
        FetchError::NotMedia { found, .. } => found,
        FetchError::Login { .. } => BodyKind::Login,
        other => panic!("{other:?}"),
    };
    let table = [
        (Reply::login_page(), BodyKind::Login, ("login-required", "fatal")),
        (Reply::html(200, "<html>Maintenance").header("x", "y"), BodyKind::Html, ("not-media", "fatal")),
        (Reply::media("<html>Maintenance"), BodyKind::Html, ("not-media", "fatal")),
        (Reply::json("{\"ErrorCode\":2}"), BodyKind::Json, ("not-media", "fatal")),
        (Reply::media("<rss version=\"2.0\"><channel>"), BodyKind::Feed, ("not-media", "fatal")),
        (Reply::media("<MPD xmlns=\"x\">"), BodyKind::Dash, ("not-media", "fatal")),
        (Reply::media("ffconcat version 1.0\nfile /etc/passwd"), BodyKind::Other, ("not-media", "fatal")),
        (Reply::media(""), BodyKind::Empty, ("not-media", "fatal")),
    ];
    for (reply, kind, outcome) in table {
        let error = fixture.failure(reply).await;
        assert_eq!(decision(&error.clone().into()), outcome, "{error}");
        assert_eq!(found(error), kind);
    }
}

#[tokio::test]
async fn each_status_has_its_own_outcome() {
    let fixture = Fixture::new().await;
    let dated = Reply::too_many_requests("Sun, 06 Nov 1994 08:51:37 GMT")
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let table = [
        (Reply::html(403, "<html>no"), ("login-required", "fatal"), None),
        (Reply::new(403, "application/xml", "<Error>"), ("access-denied", "fatal"), None),
        (Reply::html(401, "<html>no"), ("login-required", "fatal"), None),
        (Reply::html(404, "<html>no"), ("not-found", "fatal"), None),
        (Reply::html(410, "<html>no"), ("not-found", "fatal"), None),
        (Reply::html(400, "<html>no"), ("upstream-refused", "fatal"), None),
        (Reply::new(204, "video/mp4", ""), ("upstream-refused", "fatal"), None),
        (Reply::new(206, "video/mp4", media(40)), ("upstream-refused", "fatal"), None),
        (Reply::html(500, "<html>oops"), ("upstream-error", "retry"), None),
        (Reply::html(503, "<html>oops"), ("upstream-error", "retry"), None),
        (Reply::html(503, "<html>oops").header("retry-after", "7"), ("upstream-busy", "wait"), Some(7)),
        (Reply::html(503, "<html>oops").header("retry-after", "0"), ("upstream-busy", "wait"), Some(5)),
        (Reply::too_many_requests("120"), ("rate-limited", "wait"), Some(120)),
        (dated, ("rate-limited", "wait"), Some(120)),
        (Reply::too_many_requests("soon"), ("rate-limited", "wait"), Some(60)),
    ];
    for (reply, outcome, delay) in table {
        let error = JobError::from(fixture.failure(reply.clone()).await);
        assert_eq!(decision(&error), outcome, "{reply:?}");
        assert_eq!(error.wait_delay(), delay.map(Duration::from_secs), "{reply:?}");
    }
}

#[tokio::test]
async fn a_source_has_a_largest_size() {
    let fixture = Fixture::new().await;
    let limit = fixture.policy.max_bytes;
    let too_large = FetchError::TooLarge { host: "127.0.0.1".into(), limit };
    let over = usize::try_from(limit).expect("small") + 1;
    // Announced: refused before a byte is written.
    assert_eq!(fixture.failure(Reply::media(media(20)).announce_length(over)).await, too_large);
    assert_eq!(std::fs::read(fixture.directory.path().join("file")).expect("the file"), b"");
    assert_eq!(fixture.failure(Reply::media(media(over)).without_length()).await, too_large);
    fixture.upstream.on("/media", [Reply::media(media(over - 1))]);
    fixture.download(&fixture.url("/media")).await.expect("a source of the largest size");
    assert_eq!(decision(&too_large.into()), ("too-large", "fatal"));
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let fixture = Fixture::new().await;
    for hop in 0..8 {
        fixture.upstream.on(&format!("/{hop}"), [Reply::redirect(&format!("{}?token=secret", hop + 1))]);
    }
    fixture.upstream.on("/8", [Reply::media(media(40))]);
    assert!(fixture.download(&fixture.url("/3")).await.is_ok(), "five redirects");
    let error = fixture.download(&fixture.url("/2?token=secret")).await.expect_err("six redirects");
    assert!(matches!(error, FetchError::TooManyRedirects { limit: 5, .. }), "{error}");
    let error = fixture.failure(Reply::redirect("/Panopto/Pages/Auth/Login.aspx?ReturnUrl=secret")).await;
    assert_eq!(decision(&error.into()), ("login-required", "fatal"));
}

/// A second server on loopback that is not listed. Wrong code would reach it, and it records requests.
#[tokio::test]
async fn every_hop_is_checked_before_it_is_dialled() {
    let fixture = Fixture::new().await;
    let hidden = Upstream::start().await;
    hidden.on("/", [Reply::media(media(40))]);
    let refused = |error: FetchError| matches!(error, FetchError::Refused(_));

    let port = hidden.port();
    let targets = [
        hidden.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://LOCALHOST:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("//localhost:{port}/"),
    ];
    for target in targets {
        let error = fixture.failure(Reply::redirect(&target)).await;
        assert!(refused(error.clone()), "{target}: {error:?}");
        assert_eq!(decision(&error.into()), ("url-refused", "fatal"));
        if let Ok(url) = Url::parse(&target) {
            assert!(refused(fixture.download(&url).await.expect_err("refused")), "{target}");
            let small = fixture.fetcher.get_bytes(&url, 1000, Duration::from_secs(5)).await;
            assert!(refused(small.expect_err("refused")), "{target}");
            let form = fixture.fetcher.post_form(&url, &[("a", "b")], 1000, Duration::from_secs(5)).await;
            assert!(refused(form.expect_err("refused")), "{target}");
        }
    }
    let with_user = format!("http://user:secret@127.0.0.1:{}/x", fixture.upstream.port());
    for (target, refusal) in
        [("file:///etc/passwd", UrlRefusal::Scheme), (&with_user, UrlRefusal::Credentials)]
    {
        assert_eq!(fixture.failure(Reply::redirect(target)).await, FetchError::Refused(refusal), "{target}");
    }
    assert!(hidden.requests().is_empty(), "{:?}", hidden.requests());
}

#[tokio::test]
async fn small_bodies_have_limits_in_size_and_time() {
    let fixture = Fixture::new().await;
    let url = fixture.url("/small?token=secret");
    let get = async |reply: Reply, max| {
        fixture.upstream.on("/small", [reply]);
        fixture.fetcher.get_bytes(&url, max, Duration::from_secs(1)).await
    };
    assert_eq!(get(Reply::json("[1]"), 3).await.expect("a body").bytes, b"[1]");
    let too_large = FetchError::TooLarge { host: "127.0.0.1".into(), limit: 2 };
    assert_eq!(get(Reply::json("[1]"), 2).await.expect_err("too large"), too_large);
    assert_eq!(get(Reply::json("[1]").without_length(), 2).await.expect_err("too large"), too_large);
    // Each piece is in time; all together are not.
    let before = Instant::now();
    let slow = get(Reply::json(&" ".repeat(100)).drip(1, Duration::from_millis(100)), 1000).await;
    assert_eq!(slow.expect_err("slow"), FetchError::TimedOut { host: "127.0.0.1".into(), seconds: 1 });
    assert!(before.elapsed() < Duration::from_secs(3));
    let cut = get(Reply::json("[1, 2]").cut_at(3), 1000).await.expect_err("cut");
    assert_eq!(decision(&cut.into()), ("network", "retry"));
}

#[tokio::test]
async fn a_form_is_posted_once_and_goes_nowhere_else() {
    let fixture = Fixture::new().await;
    let url = fixture.url("/form");
    let post = async |reply: Reply| {
        fixture.upstream.on("/form", [reply]);
        fixture.fetcher.post_form(&url, &[("a", "1 & 2")], 1000, Duration::from_secs(5)).await
    };
    let body = post(Reply::json("{}")).await.expect("an answer");
    assert_eq!(body.bytes, b"{}");
    let request = fixture.upstream.requests().remove(0);
    assert_eq!((request.method.as_str(), request.body.as_str()), ("POST", "a=1+%26+2"));

    let elsewhere = post(Reply::redirect("/elsewhere")).await.expect_err("a redirect");
    assert!(matches!(elsewhere, FetchError::Status { status: 302, .. }), "{elsewhere:?}");
    let login = post(Reply::redirect("/Panopto/Pages/Auth/Login.aspx?a=b")).await.expect_err("a login");
    assert!(matches!(login, FetchError::Login { .. }), "{login:?}");
    assert!(fixture.upstream.requests().iter().all(|request| request.target == "/form"));
}

#[tokio::test]
async fn an_absent_host_is_retried() {
    // A port that was free a moment ago, without a listener.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let fetcher = fetcher(FetchPolicy::listed(Vec::new(), vec![host.clone()]));
    let url: Url = format!("http://{host}/x?token=secret").parse().expect("a URL");
    let error = fetcher.get_bytes(&url, 10, Duration::from_secs(5)).await.expect_err("no server");
    assert!(error.to_string().contains("refused"), "{error}");
    assert_eq!(decision(&error.into()), ("network", "retry"));
}

#[tokio::test]
async fn an_operators_url_may_be_private_and_its_redirects_are_not_followed() {
    let fixture = Fixture::new().await;
    fixture.upstream.on("/from", [Reply::redirect("/to")]);
    fixture.upstream.on("/to", [Reply::json("[1]")]);
    let fetcher = fetcher(FetchPolicy::operator());
    let get = async |path: &str| fetcher.get_bytes(&fixture.url(path), 100, Duration::from_secs(5)).await;
    assert_eq!(get("/to").await.expect("a private address").bytes, b"[1]");
    let error = get("/from").await.expect_err("a redirect");
    assert_eq!(error, FetchError::TooManyRedirects { host: "127.0.0.1".to_owned(), limit: 0 });
    let targets: Vec<_> = fixture.upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/to", "/from"]);
}
