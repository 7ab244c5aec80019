//! The recording's server: says where the stream is, lacks some of its segments at first, and shows another recording only to
//! those who sign in.

use std::path::Path;

use bedel_upstream::{Reply, Resource, delivery_info};
use uuid::Uuid;

use crate::Trouble;
use crate::lecture::Lecture;

/// What the upstream calls the lecture.
const TITLE: &str = "Tides";

/// These segments are missing, counted from 0.
const MISSING: [usize; 2] = [1, 3];

/// So often: an attempt asks four times for a segment.
const REFUSALS: usize = 4;

/// A running server, or the place of one that is closed.
pub struct Upstream {
    server: bedel_upstream::Upstream,
    session: Uuid,
    segments: Vec<String>,
    bytes: usize,
}

impl Upstream {
    /// Serves `lecture` on a free port of the loopback interface.
    pub async fn serve(lecture: &Lecture) -> Result<Self, Trouble> {
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

    /// An upstream that is closed: its port was served a moment ago.
    pub async fn closed() -> Self {
        let server = bedel_upstream::Upstream::start().await;
        server.stop().await;
        Self { server, session: Uuid::new_v4(), segments: Vec::new(), bytes: 0 }
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// The address of the lecture's viewer page, which is all that a student has.
    pub fn viewer_url(&self) -> String {
        self.server.url(&format!("/Panopto/Pages/Viewer.aspx?id={}", self.session))
    }

    /// The address of another lecture's viewer page.
    pub fn private_viewer_url(&self) -> String {
        self.server.url(&format!("/Panopto/Pages/Viewer.aspx?id={}", self.private_session()))
    }

    /// What a browser that is signed in plays there. Everybody else gets a page to sign in, with status 200.
    pub fn private_stream_url(&self) -> String {
        self.server.url(&self.private_path())
    }

    fn private_path(&self) -> String {
        format!("/Panopto/Podcast/Download/{}.mp4", self.private_session())
    }

    fn private_session(&self) -> Uuid {
        Uuid::from_u128(self.session.as_u128() ^ 1)
    }

    /// How many segments there are, and how many of them are missing at first.
    pub fn segments(&self) -> (usize, usize) {
        (self.segments.len(), MISSING.iter().filter(|number| **number < self.segments.len()).count())
    }

    /// Bytes of all segments.
    pub fn size(&self) -> usize {
        self.bytes
    }

    /// The segments that were not asked for as often as they had to be: once, and those that were missing once more than they
    /// were refused.
    pub fn unexpected(&self) -> Vec<String> {
        let expected = |number| if MISSING.contains(&number) { REFUSALS + 1 } else { 1 };
        let asked = |path: &String| self.server.requests_of(path).len();
        let segments = self.segments.iter().enumerate();
        let wrong = segments.filter(|(number, path)| asked(path) != expected(*number));
        wrong.map(|(number, path)| format!("segment {number} {} times", asked(path))).collect()
    }
}

fn name(file: &Path) -> Result<&str, Trouble> {
    file.file_name().and_then(std::ffi::OsStr::to_str).ok_or_else(|| "a file without a name".into())
}

async fn read(path: &Path) -> Result<Vec<u8>, Trouble> {
    tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn some_segments_are_missing_at_first_and_the_rest_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, vec![7; 1000]).unwrap();
            path
        };
        let segments = (0..5).map(|number| file(format!("{number}.ts"))).collect();
        let playlist = file("index.m3u8".to_owned());
        let lecture = Lecture { playlist, segments, seconds: 20.0, spoken_now: true };
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
