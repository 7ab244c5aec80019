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
async fn complete_replies_keep_their_connection_and_cut_ones_close_it() {
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
    assert_eq!((upstream.bytes_sent("/good"), upstream.total_bytes_sent()), (21_000, 21_500));
}

#[tokio::test]
async fn the_maximum_of_requests_in_flight_is_counted() {
    let upstream = Upstream::start().await;
    upstream.on("/slow", [Reply::json("{}").delay(Duration::from_millis(200))]);
    for _ in 0..2 {
        get(&upstream.url("/slow"), &[]).await;
    }
    assert_eq!(upstream.max_in_flight(), 1, "one after the other");
    let url = upstream.url("/slow");
    tokio::join!(get(&url, &[]), get(&url, &[]), get(&url, &[]));
    assert_eq!(upstream.max_in_flight(), 3);
}

#[tokio::test]
async fn a_test_can_wait_for_requests_and_bytes() {
    let upstream = Upstream::start().await;
    upstream.on("/x", [Reply::media(vec![1; 1000]).stall_at(500)]);
    let client = tokio::spawn({
        let url = upstream.url("/x");
        async move { drain(get(&url, &[]).await).await }
    });
    upstream.wait_for_requests("/x", 1).await;
    upstream.wait_for_bytes("/x", 500).await;
    assert!(!client.is_finished());
    upstream.stop().await;
    assert_eq!(client.await.unwrap(), (500, false));
}

#[tokio::test]
async fn a_stopped_upstream_refuses_connections() {
    let upstream = Upstream::start().await;
    upstream.stop().await;
    let error = builder().build().unwrap().get(upstream.url("/")).send().await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}
