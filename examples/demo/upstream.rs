//! The recording's server: says where the stream is, and drops the first download half way.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::Trouble;
use crate::lecture::Lecture;

/// What the upstream calls the lecture.
pub const TITLE: &str = "Tides";

/// A running server; it stops when this is dropped.
pub struct Upstream {
    address: SocketAddr,
    session: Uuid,
    seen: Arc<Seen>,
    _running: Option<DropGuard>,
}

struct Seen {
    media: Bytes,
    description: serde_json::Value,
    downloads: AtomicU32,
    dropped: AtomicU32,
}

impl Upstream {
    /// Serves `lecture` on a free port of the loopback interface.
    pub async fn serve(lecture: &Lecture) -> Result<Self, Trouble> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let session = Uuid::new_v4();
        let stream = format!("http://{address}/sessions/{session}/lecture.mp4");
        let seen = Arc::new(Seen {
            media: read(&lecture.path).await?,
            description: description(session, &stream, lecture.seconds),
            downloads: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
        });
        let router = Router::new()
            .route("/Panopto/Pages/Viewer/DeliveryInfo.aspx", any(describe))
            .route("/sessions/{session}/lecture.mp4", get(download))
            .with_state(Arc::clone(&seen));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, router) => {}
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self { address, session, seen, _running: Some(stop.drop_guard()) })
    }

    /// An upstream that is closed: its port was free a moment ago.
    pub async fn closed() -> Result<Self, Trouble> {
        let address = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
        let nothing = Seen {
            media: Bytes::new(),
            description: serde_json::Value::Null,
            downloads: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
        };
        Ok(Self { address, session: Uuid::new_v4(), seen: Arc::new(nothing), _running: None })
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address of the lecture's viewer page, which is all that a student has.
    pub fn viewer_url(&self) -> String {
        format!("http://{}/Panopto/Pages/Viewer.aspx?id={}", self.address, self.session)
    }

    /// Downloads that were begun.
    pub fn downloads(&self) -> u32 {
        self.seen.downloads.load(Ordering::Relaxed)
    }

    /// Downloads that were dropped half way.
    pub fn dropped(&self) -> u32 {
        self.seen.dropped.load(Ordering::Relaxed)
    }

    /// Size of the recording in bytes.
    pub fn size(&self) -> usize {
        self.seen.media.len()
    }
}

async fn read(path: &Path) -> Result<Bytes, Trouble> {
    Ok(tokio::fs::read(path).await?.into())
}

/// The answer of Panopto's viewer service, in the parts that matter here.
fn description(session: Uuid, stream: &str, seconds: f64) -> serde_json::Value {
    serde_json::json!({
        "SessionId": session,
        "Delivery": {
            "SessionName": TITLE,
            "PublicID": session,
            "Duration": seconds,
            "IsPodcastEncodeComplete": true,
            "IsViewerEncodeComplete": true,
            "PodcastStreams": [
                { "StreamUrl": stream, "StreamHttpUrl": stream, "ViewerMediaFileTypeName": "mp4", "Tag": "DV" },
            ],
            "Streams": [],
        },
    })
}

async fn describe(State(seen): State<Arc<Seen>>) -> Response {
    axum::Json(&seen.description).into_response()
}

async fn download(method: Method, State(seen): State<Arc<Seen>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "video/mp4".to_owned()),
        (header::CONTENT_LENGTH, seen.media.len().to_string()),
    ];
    if method != Method::GET {
        return (headers, Body::empty()).into_response();
    }
    let first = seen.downloads.fetch_add(1, Ordering::Relaxed) == 0;
    if !first {
        return (headers, Body::from(seen.media.clone())).into_response();
    }
    let half = seen.media.slice(..seen.media.len() / 2);
    let sent = futures::stream::once(async move { Ok::<_, std::io::Error>(half) });
    let drop = futures::stream::once(async move {
        // The half that was promised leaves this machine before the connection ends.
        tokio::time::sleep(Duration::from_millis(300)).await;
        seen.dropped.fetch_add(1, Ordering::Relaxed);
        Err(std::io::Error::other("dropped half way, as planned"))
    });
    (headers, Body::from_stream(sent.chain(drop))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_download_ends_half_way_and_the_second_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lecture.mp4");
        std::fs::write(&path, vec![7; 3_000_000]).unwrap();
        let upstream = Upstream::serve(&Lecture { path, seconds: 1.0, spoken_now: true }).await.unwrap();
        let client = crate::api::client().unwrap();
        let described: serde_json::Value = client
            .get(format!("http://{}/Panopto/Pages/Viewer/DeliveryInfo.aspx", upstream.host()))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let stream = described["Delivery"]["PodcastStreams"][0]["StreamUrl"].as_str().unwrap();

        let mut first = client.get(stream).send().await.unwrap();
        assert_eq!(first.content_length(), Some(3_000_000));
        let mut received = 0;
        let end = loop {
            match first.chunk().await {
                Ok(Some(bytes)) => received += bytes.len(),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        assert!(end.is_err());
        assert_eq!(received, 1_500_000);
        assert_eq!(client.get(stream).send().await.unwrap().bytes().await.unwrap().len(), 3_000_000);
        assert_eq!((upstream.downloads(), upstream.dropped()), (2, 1));
    }
}
