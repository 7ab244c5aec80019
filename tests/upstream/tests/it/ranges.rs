//! Ranges and validators, as S3 serves them.

use bedel_upstream::{Fault, Resource, Upstream};

use crate::client::{client, get, header};

const PATH: &str = "/lecture.mp4";

fn content() -> Vec<u8> {
    (0..100_000_u32).map(|n| (n % 251) as u8).collect()
}

/// Status, `Content-Range` and the bytes.
async fn part(upstream: &Upstream, headers: &[(&str, &str)]) -> (u16, Option<String>, Vec<u8>) {
    let response = get(&upstream.url(PATH), headers).await;
    let range = header(&response, "content-range").map(str::to_owned);
    (response.status().as_u16(), range, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_file_is_served_whole_or_in_parts() {
    let upstream = Upstream::start().await;
    upstream.serve(PATH, Resource::new(content()).content_type("audio/mp4"));
    let whole = get(&upstream.url(PATH), &[]).await;
    assert_eq!((whole.status().as_u16(), whole.content_length()), (200, Some(100_000)));
    assert_eq!(header(&whole, "content-type"), Some("audio/mp4"));
    assert_eq!(header(&whole, "accept-ranges"), Some("bytes"));
    assert!(header(&whole, "last-modified").is_some());
    assert_eq!(whole.bytes().await.unwrap(), content());

    let table = [
        ("bytes=99000-", 206, "bytes 99000-99999/100000", 99_000..100_000),
        ("bytes=10-19", 206, "bytes 10-19/100000", 10..20),
        ("bytes=-5", 206, "bytes 99995-99999/100000", 99_995..100_000),
    ];
    for (requested, status, range, bytes) in table {
        let expected = (status, Some(range.to_owned()), content()[bytes].to_vec());
        assert_eq!(part(&upstream, &[("range", requested)]).await, expected, "{requested}");
    }
    let (status, range, _) = part(&upstream, &[("range", "bytes=100000-")]).await;
    assert_eq!((status, range.as_deref()), (416, Some("bytes */100000")));
    assert_eq!(upstream.requests_to(PATH)[1].header("range"), Some("bytes=99000-"));
}

#[tokio::test]
async fn if_range_matches_only_the_current_file() {
    let upstream = Upstream::start().await;
    let resource = Resource::new(content());
    let etag = resource.etag().to_owned();
    upstream.serve(PATH, resource.after(2, Fault::Body(vec![9; 50_000].into())));
    let date = header(&get(&upstream.url(PATH), &[]).await, "last-modified").unwrap().to_owned();
    let resumed = [("range", "bytes=99999-"), ("if-range", etag.as_str())];
    assert_eq!(part(&upstream, &resumed).await.0, 206);
    // The file has changed.
    assert_eq!(part(&upstream, &resumed).await, (200, None, vec![9; 50_000]));
    let response = get(&upstream.url(PATH), &[]).await;
    let (new_etag, new_date) =
        (header(&response, "etag").unwrap(), header(&response, "last-modified").unwrap());
    assert_ne!((new_etag, new_date), (etag.as_str(), date.as_str()));
    for (known, status) in
        [(new_etag, 206), (new_date, 206), (date.as_str(), 200), (&format!("W/{new_etag}"), 200)]
    {
        assert_eq!(part(&upstream, &[("range", "bytes=1-"), ("if-range", known)]).await.0, status, "{known}");
    }
}

#[tokio::test]
async fn a_head_request_matches_the_next_get_and_does_not_count() {
    let upstream = Upstream::start().await;
    upstream.serve(PATH, Resource::new(content()).after(1, Fault::Body(vec![9; 7].into())));
    let length = async || {
        let response = client().head(upstream.url(PATH)).send().await.unwrap();
        header(&response, "content-length").unwrap().to_owned()
    };
    assert_eq!((length().await, length().await), ("100000".to_owned(), "100000".to_owned()));
    assert_eq!(part(&upstream, &[]).await.2.len(), 100_000);
    assert_eq!(length().await, "7");
    assert_eq!(upstream.bytes_sent(PATH), 100_000);
}

#[tokio::test]
async fn range_faults_change_the_answer() {
    let upstream = Upstream::start().await;
    let headers = [("range", "bytes=60000-")];
    let with = async |fault: Fault| {
        upstream.serve(PATH, Resource::new(content()).always(fault));
        let (status, range, bytes) = part(&upstream, &headers).await;
        (status, range.unwrap_or_default(), bytes.len())
    };
    assert_eq!(with(Fault::IgnoreRange).await, (200, String::new(), 100_000));
    let (status, range, _) = with(Fault::RefuseRange).await;
    assert_eq!((status, range.as_str()), (416, "bytes */100000"));
    let wrong = "bytes 0-39999/40000";
    assert_eq!(with(Fault::ContentRange(wrong.to_owned())).await, (206, wrong.to_owned(), 40_000));
    assert_eq!(with(Fault::RangeFrom(10)).await, (206, "bytes 10-99999/100000".to_owned(), 99_990));
    assert_eq!(with(Fault::Etag("\"x\"".to_owned())).await.0, 206);
    let response = get(&upstream.url(PATH), &[]).await;
    assert_eq!(header(&response, "etag"), Some("\"x\""));
    assert_eq!(with(Fault::NoValidators).await.0, 206);
    let response = get(&upstream.url(PATH), &[]).await;
    assert_eq!((header(&response, "etag"), header(&response, "last-modified")), (None, None));
}

#[tokio::test]
async fn a_required_query_refuses_all_others() {
    let upstream = Upstream::start().await;
    upstream.serve(PATH, Resource::new(content()).require_query("Policy=a&Signature=2"));
    for (query, status) in [("?Policy=a&Signature=2", 200), ("?Policy=a&Signature=1", 403), ("", 403)] {
        let url = upstream.url(&format!("{PATH}{query}"));
        assert_eq!(get(&url, &[]).await.status().as_u16(), status, "{query}");
    }
}
