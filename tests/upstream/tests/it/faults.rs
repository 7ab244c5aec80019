//! Each fault behaves as documented.

use std::time::{Duration, Instant};

use bedel_upstream::{Fault, Reply, Resource, Upstream};

use crate::client::{client, drain, get, header};

const PATH: &str = "/lecture.mp4";
const LENGTH: usize = 100_000;

fn resource() -> Resource {
    Resource::new(vec![7; LENGTH])
}

/// An upstream whose file has these faults.
async fn with(faults: impl IntoIterator<Item = Fault>) -> Upstream {
    let upstream = Upstream::start().await;
    upstream.serve(PATH, faults.into_iter().fold(resource(), Resource::always));
    upstream
}

#[tokio::test]
async fn faults_apply_by_the_number_of_the_request() {
    let upstream = Upstream::start().await;
    let resource =
        resource().first(2, Reply::unavailable("7")).first(3, Fault::CutAt(10)).after(4, Reply::login_page());
    upstream.serve(PATH, resource);
    let mut seen = Vec::new();
    for _ in 0..6 {
        let response = get(&upstream.url(PATH), &[]).await;
        let (status, after) =
            (response.status().as_u16(), header(&response, "retry-after").map(str::to_owned));
        let (received, complete) = drain(response).await;
        seen.push((status, after.is_some(), received, complete));
    }
    let page_length = seen[5].2;
    assert!(page_length < 100);
    // A fault of the delivery applies to a reply that replaces the file, too.
    let expected = [
        (503, true, 10, false),
        (503, true, 10, false),
        (200, false, 10, false),
        (200, false, LENGTH, true),
        (200, false, page_length, true),
        (200, false, page_length, true),
    ];
    assert_eq!(seen, expected);
    assert_eq!(upstream.abort_count(PATH), 3);
    assert_eq!(upstream.bytes_sent(PATH), (30 + LENGTH + 2 * page_length) as u64);
}

#[tokio::test]
async fn a_body_ends_where_it_is_cut() {
    for faults in [
        vec![Fault::CutAt(30_000)],
        vec![Fault::Chunked, Fault::CutAt(30_000)],
        vec![Fault::Chunked, Fault::CutAt(0)],
    ] {
        let upstream = with(faults.clone()).await;
        let (received, complete) = drain(get(&upstream.url(PATH), &[]).await).await;
        assert!(!complete, "{faults:?}");
        assert_eq!(received as u64, upstream.bytes_sent(PATH), "{faults:?}");
        assert!(received == 30_000 || received == 0, "{faults:?}: {received}");
        assert_eq!(upstream.abort_count(PATH), 1);
    }
    let upstream = with([Fault::ResetAt(30_000)]).await;
    let (received, complete) = drain(get(&upstream.url(PATH), &[]).await).await;
    assert!(received <= 30_000 && !complete);
    // Parts are cut too.
    let upstream = with([Fault::CutAt(10)]).await;
    let response = get(&upstream.url(PATH), &[("range", "bytes=50000-")]).await;
    assert_eq!(response.content_length(), Some(50_000));
    assert_eq!(drain(response).await, (10, false));
}

#[tokio::test]
async fn a_length_may_be_missing_or_wrong() {
    for fault in [Fault::WithoutLength, Fault::Chunked] {
        let upstream = with([fault.clone()]).await;
        let response = get(&upstream.url(PATH), &[]).await;
        assert_eq!(response.content_length(), None, "{fault:?}");
        assert_eq!(header(&response, "transfer-encoding").is_some(), matches!(fault, Fault::Chunked));
        assert_eq!(drain(response).await, (LENGTH, true), "{fault:?}");
    }
    let upstream = with([Fault::Announce(LENGTH + 1)]).await;
    assert_eq!(drain(get(&upstream.url(PATH), &[]).await).await, (LENGTH, false));
    let upstream = with([Fault::Announce(LENGTH - 1)]).await;
    assert_eq!(drain(get(&upstream.url(PATH), &[]).await).await, (LENGTH - 1, true));
}

#[tokio::test]
async fn a_stalled_reply_lasts_until_the_client_hangs_up() {
    let upstream = with([Fault::StallAt(20_000)]).await;
    let mut response = get(&upstream.url(PATH), &[]).await;
    let mut received = 0;
    while received < 20_000 {
        received += response.chunk().await.unwrap().unwrap().len();
    }
    let more = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await;
    assert!(more.is_err(), "the body has stalled");
    drop(response);
    upstream.wait_until_idle().await;
    assert_eq!((upstream.bytes_sent(PATH), upstream.abort_count(PATH)), (20_000, 0));
}

#[tokio::test]
async fn latency_and_drip_slow_a_reply_down() {
    let upstream = with([Fault::Latency(Duration::from_millis(150))]).await;
    let started = Instant::now();
    let response = get(&upstream.url(PATH), &[]).await;
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!(drain(response).await, (LENGTH, true));

    let upstream = with([Fault::Drip(LENGTH / 4, Duration::from_millis(50))]).await;
    let response = get(&upstream.url(PATH), &[]).await;
    let started = Instant::now();
    assert_eq!(drain(response).await, (LENGTH, true));
    assert!(started.elapsed() >= Duration::from_millis(140), "{:?}", started.elapsed());
}

#[tokio::test]
async fn endless_replies_end_when_the_client_hangs_up() {
    for faults in [vec![Fault::Endless], vec![Fault::Endless, Fault::Chunked]] {
        let upstream = with(faults.clone()).await;
        let mut response = get(&upstream.url(PATH), &[]).await;
        assert_eq!(response.content_length(), None);
        let mut received = 0;
        while received < 3 * LENGTH {
            let piece = response.chunk().await.unwrap().expect("more bytes");
            assert!(piece.iter().all(|byte| *byte == 7), "the body repeats");
            received += piece.len();
        }
        drop(response);
        upstream.wait_until_idle().await;
    }
    let upstream = with([Fault::EndlessHeaders]).await;
    let refused = client().get(upstream.url(PATH)).send().await;
    assert!(refused.is_err(), "a client refuses endless headers");
    upstream.wait_until_idle().await;
    assert_eq!(upstream.total_bytes_sent(), 0);
}
