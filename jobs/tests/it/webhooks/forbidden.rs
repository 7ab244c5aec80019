//! Addresses that no message may reach. 127.0.0.2 and [::1] stand for all of them, and count contacts.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bedel_fetch::{FetchPolicy, Lookup};
use bedel_jobs::webhook::receiver_url;
use bedel_jobs::webhook::subscription::Scope;
use bedel_upstream::{Reply, Upstream};
use futures::future::BoxFuture;

use super::lab::{HOOK, Lab, options, settings};
use crate::environment;

/// Every name has this address.
#[derive(Debug)]
struct Always(IpAddr);

impl Lookup for Always {
    fn addresses(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}

#[test]
fn a_forbidden_address_cannot_be_registered() {
    let settings = settings();
    for bad in [
        "https://127.0.0.2/hook",
        "https://[::1]/hook",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://2130706434/",
        "http://hooks.example.edu/",
        "http://127.0.0.2:9000/",
        "ftp://hooks.example.edu/",
        "https://user:hunter2@hooks.example.edu/",
        "hunter2",
        "",
    ] {
        let refused = receiver_url::check("callback_url", bad, &settings).expect_err(bad);
        assert_eq!((refused.field, refused.code), ("callback_url", "url"));
        assert!(!refused.message.contains("hunter2"), "{}", refused.message);
    }
    for good in
        ["https://hooks.example.edu/a?token=b", "https://203.0.112.9:8443/", "http://127.0.0.1:9000/hook"]
    {
        assert_eq!(receiver_url::check("url", good, &settings).expect("allowed"), good);
    }
}

/// The address was fine when it was registered: the name has another one now.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_a_forbidden_address_gets_nothing() {
    let (receiver, canary) = Upstream::start_with_canary().await;
    receiver.on(HOOK, [Reply::json("{}")]);
    let lab = Lab::at(receiver).await;
    let port = lab.receiver.port();
    for (address, scheme, allowed) in [
        ("127.0.0.2", "https", "127.0.0.1"),
        ("::1", "https", "127.0.0.1"),
        ("::ffff:127.0.0.2", "https", "0.0.0.0/0"),
        ("127.0.0.2", "https", "hooks.other"),
    ] {
        let mut ctx = environment::create(lab.pool().clone(), lab.directory.path(), settings(), None);
        let policy = FetchPolicy::public(vec![allowed.parse().expect("an exception")]);
        let lookup = Arc::new(Always(address.parse().expect("an address")));
        ctx.webhook_fetcher = environment::fetcher_with(policy, lookup);
        let url = format!("{scheme}://hooks.test:{port}{HOOK}?token=hunter2");
        let (webhook, _) = lab.subscribe_url(lab.user().await, Scope::Own, url).await;
        let worker = lab.worker_of(Arc::new(ctx), options(1));
        let message = lab.ping(webhook).await;
        lab.until(message, "failed").await;
        worker.stop().await;
        let attempts = lab.attempts(message).await;
        assert_eq!(attempts, [(None, Some("receiver-forbidden".to_owned()))], "{address}");
    }
    assert_eq!(canary.contacts().await, 0);
    assert_eq!(lab.received().len(), 0);
    let leaked = lab.count(
        "SELECT count(*) FROM queue.failed_attempts WHERE message LIKE '%hunter2%' OR message LIKE '%127.0.0%'",
    );
    assert_eq!(leaked.await, 0);
}

/// A listed host may have any address and needs no encryption.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_operator_allows_is_reached() {
    let lab = Lab::new().await;
    lab.receiver.on(HOOK, [Reply::json("{}")]);
    let mut ctx = environment::create(lab.pool().clone(), lab.directory.path(), settings(), None);
    let policy = FetchPolicy::public(vec!["hooks.test".parse().expect("an exception")]);
    ctx.webhook_fetcher = environment::fetcher_with(policy, Arc::new(Always("127.0.0.1".parse().unwrap())));
    let url = format!("http://hooks.test:{}{HOOK}", lab.receiver.port());
    let (webhook, _) = lab.subscribe_url(lab.user().await, Scope::Own, url).await;
    let worker = lab.worker_of(Arc::new(ctx), options(1));
    let message = lab.ping(webhook).await;
    lab.until(message, "delivered").await;
    worker.stop().await;
}
