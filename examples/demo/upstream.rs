//! The recording's server. Some segments are missing at first. A second recording needs a login.

use std::path::Path;

use bedel_upstream::{Reply, Resource, delivery_info};
use uuid::Uuid;

use crate::error::DemoError;
use crate::lecture::Lecture;

/// The lecture's title at the upstream.
const TITLE: &str = "Tides";

/// Segments that are missing at first, counted from 0.
const MISSING: [usize; 2] = [1, 3];

/// Refused requests per missing segment: an attempt requests a segment four times.
const REFUSALS: usize = 4;

/// A running server, or the address of a closed one.
pub struct Upstream {
    server: bedel_upstream::Upstream,
    session: Uuid,
    segments: Vec<String>,
    bytes: usize,
}

impl Upstream {
    /// Serves `lecture` on a free port of the loopback interface.
    pub async fn serve(lecture: &Lecture) -> Result<Self, DemoError> {
        let (server, session) = (bedel_upstream::Upstream::start().await, Uuid::new_v4());
        let folder = format!("/sessions/{session}.hls");
        let (mut segments, mut bytes) = (Vec::new(), 0);
        for (number, file) in lecture.segments.iter().enumerate() {
            let content = read(file).await?;
            bytes += content.len();
            let mut resource = Resource::new(content).content_type("video/mp2t");
            if MISSING.contains(&number) {
                resource = resource.first(REFUSALS, Reply::html(404, "<html>not here yet"));
            }
            let path = format!("{folder}/{}", name(file)?);
            server.serve(&path, resource);
            segments.push(path);
        }
        let playlist = format!("{folder}/{}", name(&lecture.playlist)?);
        server.on(&playlist, [Reply::playlist(tokio::fs::read_to_string(&lecture.playlist).await?)]);
        let described = delivery_info::ready(&server.url(&playlist), TITLE, lecture.seconds);
        server.on(delivery_info::PATH, [described]);
        let upstream = Self { server, session, segments, bytes };
        upstream.server.on(&upstream.private_path(), [Reply::login_page()]);
        Ok(upstream)
    }

    /// A closed upstream: nothing listens on its port any more.
    pub async fn closed() -> Self {
        let server = bedel_upstream::Upstream::start().await;
        server.stop().await;
        Self { server, session: Uuid::new_v4(), segments: Vec::new(), bytes: 0 }
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// The URL of the lecture's viewer page, the only URL that a student has.
    pub fn viewer_url(&self) -> String {
        self.server.url(&format!("/Panopto/Pages/Viewer.aspx?id={}", self.session))
    }

    /// The viewer page of the recording that needs a login.
    pub fn private_viewer_url(&self) -> String {
        self.server.url(&format!("/Panopto/Pages/Viewer.aspx?id={}", self.private_session()))
    }

    /// The stream that a signed-in browser plays there. Other clients get a sign-in page with status 200.
    pub fn private_stream_url(&self) -> String {
        self.server.url(&self.private_path())
    }

    fn private_path(&self) -> String {
        format!("/Panopto/Podcast/Download/{}.mp4", self.private_session())
    }

    fn private_session(&self) -> Uuid {
        Uuid::from_u128(self.session.as_u128() ^ 1)
    }

    /// The number of segments, and how many are missing at first.
    pub fn segments(&self) -> (usize, usize) {
        (self.segments.len(), MISSING.iter().filter(|number| **number < self.segments.len()).count())
    }

    /// Bytes of all segments.
    pub fn size(&self) -> usize {
        self.bytes
    }

    /// Segments with a wrong number of requests. The right number is one, or one more than the refusals.
    pub fn unexpected(&self) -> Vec<String> {
        let expected = |number| if MISSING.contains(&number) { REFUSALS + 1 } else { 1 };
        let requests = |path: &String| self.server.requests_to(path).len();
        let segments = self.segments.iter().enumerate();
        let wrong = segments.filter(|(number, path)| requests(path) != expected(*number));
        wrong.map(|(number, path)| format!("segment {number} {} times", requests(path))).collect()
    }
}

fn name(file: &Path) -> Result<&str, DemoError> {
    file.file_name().and_then(std::ffi::OsStr::to_str).ok_or_else(|| "a file has no name".into())
}

async fn read(path: &Path) -> Result<Vec<u8>, DemoError> {
    tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_missing_segments_are_refused_at_first() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, vec![7; 1000]).unwrap();
            path
        };
        let segments = (0..5).map(|number| file(format!("{number}.ts"))).collect();
        let playlist = file("index.m3u8".to_owned());
        let lecture = Lecture { playlist, segments, seconds: 20.0, is_synthesized: true };
        let upstream = Upstream::serve(&lecture).await.unwrap();
        assert_eq!((upstream.segments(), upstream.size()), ((5, 2), 5000));
        let client = crate::api::client().unwrap();
        let get = async |path: &str| client.get(upstream.server.url(path)).send().await.unwrap();
        let described: serde_json::Value = get(delivery_info::PATH).await.json().await.unwrap();
        let stream = described["Delivery"]["PodcastStreams"][0]["StreamUrl"].as_str().unwrap();
        assert!(stream.ends_with("/index.m3u8"), "{stream}");
        for path in &upstream.segments {
            let mut refused = 0;
            while get(path).await.status() != 200 {
                refused += 1;
            }
            assert_eq!(refused, if path.ends_with("1.ts") || path.ends_with("3.ts") { REFUSALS } else { 0 });
        }
        assert_eq!(upstream.unexpected(), Vec::<String>::new());
        get(&upstream.segments[0]).await;
        assert_eq!(upstream.unexpected(), ["segment 0 2 times"]);
        let page = client.get(upstream.private_stream_url()).send().await.unwrap().text().await.unwrap();
        assert!(page.contains("password"), "{page}");
    }
}
