//! Forbidden hosts and time limits. 127.0.0.1 is the upstream; 127.0.0.2 and [::1] stand for all forbidden
//! addresses, and count connections.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bedel_fetch::{
    FetchError, FetchPolicy, Fetcher, Lookup, MediaDownload, PartFile, ProxyChoice, ProxyUrl, SmallBody,
    Targets, UrlRefusal,
};
use bedel_queue::JobError;
use bedel_upstream::{Canary, Fault, Reply, Resource, Upstream};
use futures::future::BoxFuture;
use url::Url;

use crate::environment::{PATIENCE, decision, fetch_policy, fetcher, fetcher_with};

const NAME: &str = "cdn.test";

/// A resolver that answers differently each time; the last answer stays.
#[derive(Debug, Default)]
struct Scripted(Mutex<VecDeque<Vec<IpAddr>>>);

impl Scripted {
    fn answers(answers: &[&[&str]]) -> Arc<Self> {
        let addresses =
            |answer: &&[&str]| answer.iter().map(|text| text.parse().expect("an address")).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(addresses).collect())))
    }
}

impl Lookup for Scripted {
    fn addresses(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        assert_eq!(name, NAME);
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { Ok(answer.expect("an answer")) })
    }
}

async fn get(fetcher: &Fetcher, url: &str) -> Result<SmallBody, FetchError> {
    fetcher.get_bytes(&url.parse().expect("a URL"), 1 << 20, Duration::from_secs(10)).await
}

async fn transfer(fetcher: &Fetcher, url: &str) -> Result<MediaDownload, FetchError> {
    let directory = tempfile::tempdir().expect("a directory");
    let lock = Arc::new(std::fs::File::create(directory.path().join("lock")).expect("a lock"));
    let url: Url = url.parse().expect("a URL");
    let mut part = PartFile::open(&directory.path().join("file"), &lock, &url).await.expect("a file");
    fetcher.download_media(&url, &mut part, |_, _| ()).await
}

fn is_not_public(error: &FetchError) -> bool {
    matches!(error, FetchError::Refused(UrlRefusal::NotPublic { .. }))
}

async fn named() -> (Upstream, Canary, FetchPolicy) {
    let (upstream, canary) = Upstream::start_with_canary().await;
    // A kept connection needs no name lookup.
    upstream.on("/x", [Reply::json("[1]").header("connection", "close")]);
    let name = format!("{NAME}:{}", upstream.port());
    let allowed_private = vec![name, upstream.host()];
    let targets = Targets::Listed { hosts: Vec::new(), allowed_private };
    let policy = FetchPolicy { targets, stall_timeout: PATIENCE, ..fetch_policy(&upstream) };
    (upstream, canary, policy)
}

/// A name that resolves to the upstream when checked, and elsewhere when dialled.
#[tokio::test]
async fn a_name_that_resolves_differently_gains_nothing() {
    let (upstream, canary, policy) = named().await;
    let url = format!("http://{NAME}:{}/x", upstream.port());
    for forbidden in [
        &["127.0.0.2"][..],
        &["::1"],
        &["127.0.0.1", "127.0.0.2"],
        &["::1", "127.0.0.1"],
        &["::ffff:127.0.0.2"],
    ] {
        let lookup = Scripted::answers(&[&["127.0.0.1"], forbidden]);
        let fetcher = fetcher_with(policy.clone(), lookup);
        get(&fetcher, &url).await.expect("the first answer is the upstream's");
        let error = get(&fetcher, &url).await.expect_err("the second one is not");
        assert!(is_not_public(&error), "{forbidden:?}: {error:?}");
        assert!(!error.to_string().contains("127."), "{error}");
        assert_eq!(decision(&JobError::from(error)), ("url-refused", "fatal"));
    }
    assert_eq!(canary.contacts().await, 0);
}

#[tokio::test]
async fn no_redirect_leads_to_a_forbidden_address() {
    let (upstream, canary, policy) = named().await;
    let port = upstream.port();
    let lookup = Scripted::answers(&[&["127.0.0.2"]]);
    let fetcher = fetcher_with(policy, lookup);
    let targets = [
        format!("http://127.0.0.2:{port}/x"),
        format!("http://[::1]:{port}/x"),
        format!("http://2130706434:{port}/x"),
        format!("http://0x7f.0.0.2:{port}/x"),
        format!("http://127.2:{port}/x"),
        format!("http://[::ffff:127.0.0.2]:{port}/x"),
        format!("//127.0.0.2:{port}/x"),
        format!("http://{NAME}:{port}/x"),
        format!("https://127.0.0.2:{port}/x"),
        format!("http://user@127.0.0.2:{port}/x"),
        format!("http://localhost:{port}/x"),
        "file:///etc/hostname".to_owned(),
        "data:video/mp4,x".to_owned(),
    ];
    for target in targets {
        upstream.on("/from", [Reply::redirect(&target)]);
        for error in [
            get(&fetcher, &upstream.url("/from")).await.expect_err("refused"),
            transfer(&fetcher, &upstream.url("/from")).await.expect_err("refused"),
        ] {
            assert!(matches!(error, FetchError::Refused(_)), "{target}: {error:?}");
        }
    }
    assert_eq!(canary.contacts().await, 0);
}

#[tokio::test]
async fn every_transfer_has_a_time_limit() {
    let upstream = Upstream::start().await;
    let policy = FetchPolicy { max_bytes: 1 << 20, ..fetch_policy(&upstream) };
    let fetcher = fetcher(policy);
    let mut media = b"\0\0\0\x20ftypisom".to_vec();
    media.resize(100_000, 7);
    let media = || Resource::new(media.clone());
    let table = [
        (media().always(Fault::Endless), "too-large"),
        (media().always(Fault::EndlessHeaders), "network"),
        (media().always(Fault::Drip(1000, Duration::from_millis(100))), "stalled"),
        (
            media().always(Fault::Reply(Reply::media("x").header("content-encoding", "gzip"))),
            "upstream-refused",
        ),
        (media().always(Fault::Reply(Reply::redirect("/media"))), "redirects"),
    ];
    for (resource, class) in table {
        upstream.serve("/media", resource);
        let before = Instant::now();
        let outcome = transfer(&fetcher, &upstream.url("/media")).await;
        let error = JobError::from(outcome.expect_err(class));
        assert_eq!(error.class(), class, "{error}");
        assert!(before.elapsed() < Duration::from_secs(60), "{class}: {:?}", before.elapsed());
    }
    assert!(upstream.total_bytes_sent() < 64 << 20, "{} bytes", upstream.total_bytes_sent());
}

#[tokio::test]
async fn a_configured_private_authority_is_trusted() {
    let upstream = Upstream::start_tls(&[]).await;
    upstream.on("/x", [Reply::json("[1]")]);
    let stranger = fetcher(fetch_policy(&upstream));
    let error = get(&stranger, &upstream.url("/x")).await.expect_err("an unknown authority");
    assert_eq!(decision(&JobError::from(error)), ("network", "retry"));
    let extra_ca = Some(upstream.ca_pem().as_bytes().to_vec());
    let friend = fetcher(FetchPolicy { extra_ca, ..fetch_policy(&upstream) });
    assert_eq!(get(&friend, &upstream.url("/x")).await.expect("trusted").bytes, b"[1]");
}

/// The proxy resolves names then; literal addresses are still refused.
#[tokio::test]
async fn a_configured_proxy_gets_every_request() {
    let (upstream, canary, policy) = named().await;
    let target = format!("http://{NAME}:{}/y", upstream.port());
    upstream.on(&target, [Reply::json("[2]")]);
    let proxy = ProxyChoice::Url(ProxyUrl(upstream.url("/").parse().expect("a URL")));
    let fetcher = fetcher(FetchPolicy { proxy, ..policy });
    let secret = ProxyUrl("http://user:secret@127.0.0.1:9/".parse().expect("a URL"));
    assert!(!format!("{secret:?}").contains("secret"), "{secret:?}");
    assert_eq!(get(&fetcher, &target).await.expect("by way of the proxy").bytes, b"[2]");
    let refused = get(&fetcher, &format!("http://127.0.0.2:{}/y", upstream.port())).await;
    assert!(is_not_public(&refused.expect_err("refused")));
    assert_eq!(canary.contacts().await, 0);
}
