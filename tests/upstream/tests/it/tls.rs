//! TLS, for clients that trust its authority.

use bedel_upstream::{Fault, Reply, Resource, Upstream};
use reqwest::{Certificate, Client};

use crate::client::{builder, drain};

fn trusting_client(upstream: &Upstream) -> Client {
    let authority = Certificate::from_pem(upstream.ca_pem().as_bytes()).unwrap();
    builder().tls_certs_only([authority]).resolve("cdn.test", ([127, 0, 0, 1], 0).into()).build().unwrap()
}

#[tokio::test]
async fn clients_trust_it_with_its_authority_and_for_its_names() {
    let upstream = Upstream::start_tls(&["cdn.test"]).await;
    upstream.on("/", [Reply::json("{}")]);
    let (client, port) = (trusting_client(&upstream), upstream.port());
    assert!(upstream.url("/").starts_with("https://127.0.0.1:"));
    for name in ["127.0.0.1", "localhost", "cdn.test"] {
        let answer = client.get(format!("https://{name}:{port}/")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "{}", "{name}");
    }
    let untrusting = crate::client::client().get(upstream.url("/")).send().await.unwrap_err();
    assert!(untrusting.is_connect(), "{untrusting:?}");
    assert_eq!(upstream.requests().len(), 3, "a client without the authority sends no request");
    let plain = crate::client::client().get(format!("http://127.0.0.1:{port}/")).send().await;
    assert!(plain.is_err(), "plain HTTP gets no answer");
}

#[tokio::test]
async fn the_certificate_is_invalid_for_other_names() {
    let upstream = Upstream::start_tls(&[]).await;
    let other = trusting_client(&upstream).get(format!("https://cdn.test:{}/", upstream.port())).send().await;
    assert!(other.unwrap_err().is_connect());
}

#[tokio::test]
async fn faults_are_the_same_with_tls() {
    let upstream = Upstream::start_tls(&[]).await;
    let file = Resource::new(vec![7; 100_000]).first(1, Fault::CutAt(40_000)).always(Fault::Chunked);
    upstream.serve("/x", file);
    let client = trusting_client(&upstream);
    assert_eq!(drain(client.get(upstream.url("/x")).send().await.unwrap()).await, (40_000, false));
    assert_eq!(drain(client.get(upstream.url("/x")).send().await.unwrap()).await, (100_000, true));
    upstream.serve("/x", Resource::new(vec![7; 100_000]).always(Fault::ResetAt(10)));
    let (received, good) = drain(client.get(upstream.url("/x")).send().await.unwrap()).await;
    assert!(received <= 10 && !good);
}
