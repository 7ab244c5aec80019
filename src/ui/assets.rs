//! Styles, scripts and the icon, compiled in. Their addresses hold a hash of their bytes, so browsers keep them forever.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::api::problem::Problem;
use crate::api::state::ApiState;

/// A file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asset {
    /// The only style sheet.
    Style,
    /// Applies the stored theme before the first paint.
    Theme,
    /// htmx.
    Htmx,
    /// Its extension for event streams.
    HtmxSse,
    /// Times and the live stream.
    App,
    /// A lecture's player and transcript.
    Player,
    /// Uploads with progress.
    Upload,
    /// The icon.
    Icon,
}

struct File {
    asset: Asset,
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($asset:ident, $name:literal, $kind:expr) => {
        File {
            asset: Asset::$asset,
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!("assets/", $name)),
        }
    };
}

const FILES: [File; 8] = [
    file!(Style, "style.css", "text/css; charset=utf-8"),
    file!(Theme, "theme.js", SCRIPT),
    file!(Htmx, "htmx-4.0.1.min.js", SCRIPT),
    file!(HtmxSse, "hx-sse-4.0.1.min.js", SCRIPT),
    file!(App, "app.js", SCRIPT),
    file!(Player, "player.js", SCRIPT),
    file!(Upload, "upload.js", SCRIPT),
    file!(Icon, "icon.svg", "image/svg+xml"),
];

/// A hash of each file, in the order of [`FILES`].
static HASHES: LazyLock<Vec<String>> =
    LazyLock::new(|| FILES.iter().map(|file| hex::encode(&Sha256::digest(file.bytes)[..8])).collect());

impl Asset {
    /// Its address, which changes with its bytes.
    pub(super) fn url(self) -> String {
        let at = FILES.iter().position(|file| file.asset == self).expect("each asset has a file");
        format!("/ui/assets/{}?v={}", FILES[at].name, HASHES[at])
    }
}

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/ui/assets/{name}", get(file))
}

async fn file(Path(name): Path<String>, asked: HeaderMap) -> Result<Response, Problem> {
    let at = FILES.iter().position(|file| file.name == name);
    let at = at.ok_or_else(|| Problem::not_found("There is no such file."))?;
    let etag = HeaderValue::from_str(&format!("\"{}\"", HASHES[at])).expect("a hash is visible ASCII");
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known == etag);
    let mut response =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { FILES[at].bytes.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FILES[at].kind));
    headers.insert(header::ETAG, etag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendored_files_are_those_of_the_release() {
        let listed = include_str!("assets/vendored.sha256");
        let lines: Vec<_> = listed.lines().filter_map(|line| line.split_once("  ")).collect();
        assert_eq!(lines.len(), 2);
        for (hash, name) in lines {
            let file = FILES.iter().find(|file| file.name == name).expect("a vendored file");
            assert_eq!(hex::encode(Sha256::digest(file.bytes)), hash, "{name}");
        }
    }

    #[test]
    fn all_assets_together_leave_room_for_a_page() {
        let bytes: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes < 72 * 1024, "{bytes} bytes");
    }
}
