//! A canary counts all contacts and only contacts.

use bedel_upstream::{Canary, Reply, Upstream};
use tokio::net::{TcpStream, UdpSocket};

use crate::client::get;

#[tokio::test]
async fn contacts_with_both_addresses_are_counted() {
    let (upstream, canary) = Upstream::start_with_canary().await;
    upstream.on("/", [Reply::json("{}")]);
    get(&upstream.url("/"), &[]).await;
    assert_eq!(canary.contacts().await, 0, "the upstream's clients and the canary itself do not count");
    for (before, host) in canary.hosts().into_iter().enumerate() {
        assert!(host.ends_with(&format!(":{}", upstream.port())), "{host}");
        let response = get(&format!("http://{host}/"), &[]).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.bytes().await.unwrap().len(), 16);
        assert_eq!(canary.contacts().await, before + 1, "{host}");
    }
}

#[tokio::test]
async fn a_contact_that_sends_nothing_and_hangs_up_is_counted() {
    let (_upstream, canary) = Upstream::start_with_canary().await;
    drop(TcpStream::connect(&canary.hosts()[1]).await.unwrap());
    assert_eq!(canary.contacts().await, 1);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"RTP", &canary.hosts()[0]).await.unwrap();
    assert_eq!(canary.contacts().await, 2, "a datagram is a contact too");
}

#[tokio::test]
async fn a_taken_port_fails_with_addr_in_use() {
    let (upstream, _canary) = Upstream::start_with_canary().await;
    let error = Canary::start(upstream.port()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
