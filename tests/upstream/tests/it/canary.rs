//! A canary counts whoever comes, and nobody else.

use bedel_upstream::{Canary, Reply, Upstream};
use tokio::net::{TcpStream, UdpSocket};

use crate::client::get;

#[tokio::test]
async fn a_contact_with_either_address_is_counted() {
    let (upstream, canary) = Upstream::start_with_canary().await;
    upstream.on("/", [Reply::json("{}")]);
    get(&upstream.url("/"), &[]).await;
    assert_eq!(canary.contacts().await, 0, "neither the upstream's clients nor the canary itself");
    for (before, host) in canary.hosts().into_iter().enumerate() {
        assert!(host.ends_with(&format!(":{}", upstream.port())), "{host}");
        let lure = get(&format!("http://{host}/"), &[]).await;
        assert_eq!(lure.status().as_u16(), 200);
        assert_eq!(lure.bytes().await.unwrap().len(), 16);
        assert_eq!(canary.contacts().await, before + 1, "{host}");
    }
}

#[tokio::test]
async fn a_contact_is_counted_that_says_nothing_and_leaves_at_once() {
    let (_upstream, canary) = Upstream::start_with_canary().await;
    drop(TcpStream::connect(&canary.hosts()[1]).await.unwrap());
    assert_eq!(canary.contacts().await, 1);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"RTP", &canary.hosts()[0]).await.unwrap();
    assert_eq!(canary.contacts().await, 2, "a datagram is a contact, too");
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_to_be_taken() {
    let (upstream, _canary) = Upstream::start_with_canary().await;
    let error = Canary::start(upstream.port()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
