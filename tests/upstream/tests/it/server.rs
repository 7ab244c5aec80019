//! Scripts, connections and counts.

use std::time::Duration;

use bedel_upstream::{Reply, Resource, Upstream};

use crate::client::{builder, client, drain, get};

#[tokio::test]
async fn each_request_takes_the_next_reply_and_the_last_one_stays() {
    let upstream = Upstream::start().await;
    upstream.on("/x", [Reply::too_many_requests("1"), Reply::redirect("/y"), Reply::json("{}")]);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(get(&upstream.url("/x?q=1"), &[]).await.status().as_u16());
    }
    assert_eq!(seen, [429, 302, 200, 200]);
    assert_eq!(get(&upstream.url("/z"), &[]).await.status().as_u16(), 404);
    let targets: Vec<String> = upstream.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/x?q=1", "/x?q=1", "/x?q=1", "/x?q=1", "/z"]);
}

#[tokio::test]
async fn good_answers_keep_their_connection_and_broken_ones_end_it() {
    let upstream = Upstream::start().await;
    upstream.serve("/good", Resource::new(vec![1; 1000]));
    upstream.on("/bad", [Reply::media(vec![1; 1000]).cut_half_way()]);
    let client = client();
    for _ in 0..20 {
        assert_eq!(drain(client.get(upstream.url("/good")).send().await.unwrap()).await, (1000, true));
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(drain(client.get(upstream.url("/bad")).send().await.unwrap()).await, (500, false));
    assert_eq!(drain(client.get(upstream.url("/good")).send().await.unwrap()).await, (1000, true));
    assert_eq!(upstream.connections(), 2);
    assert_eq!((upstream.sent("/good"), upstream.sent_total()), (21_000, 21_500));
}

#[tokio::test]
async fn the_most_requests_at_once_are_counted() {
    let upstream = Upstream::start().await;
    upstream.on("/slow", [Reply::json("{}").late(Duration::from_millis(200))]);
    for _ in 0..2 {
        get(&upstream.url("/slow"), &[]).await;
    }
    assert_eq!(upstream.most_at_once(), 1, "one after the other");
    let url = upstream.url("/slow");
    tokio::join!(get(&url, &[]), get(&url, &[]), get(&url, &[]));
    assert_eq!(upstream.most_at_once(), 3);
}

#[tokio::test]
async fn a_test_can_wait_for_what_is_asked_and_sent() {
    let upstream = Upstream::start().await;
    upstream.on("/x", [Reply::media(vec![1; 1000]).stalled_at(500)]);
    let asking = tokio::spawn({
        let url = upstream.url("/x");
        async move { drain(get(&url, &[]).await).await }
    });
    upstream.until_asked("/x", 1).await;
    upstream.until_sent("/x", 500).await;
    assert!(!asking.is_finished());
    upstream.stop().await;
    assert_eq!(asking.await.unwrap(), (500, false));
}

#[tokio::test]
async fn a_stopped_upstream_refuses_connections() {
    let upstream = Upstream::start().await;
    upstream.stop().await;
    let error = builder().build().unwrap().get(upstream.url("/")).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}
