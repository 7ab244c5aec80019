//! Panopto's answers of `DeliveryInfo.aspx`, always with status 200.

use crate::reply::Reply;

/// Its path.
pub const PATH: &str = "/Panopto/Pages/Viewer/DeliveryInfo.aspx";

/// A finished recording with a podcast and plain streams, and this duration in seconds.
pub fn ready(podcast_url: &str, title: &str, seconds: f64) -> Reply {
    Reply::json(
        &serde_json::json!({
            "SessionId": "7b0a5b0e-0000-4000-8000-0000000000aa",
            "Delivery": {
                "SessionName": title,
                "Duration": seconds,
                "PodcastStreams": [{"StreamUrl": podcast_url, "ViewerMediaFileTypeName": "mp4"}],
                "Streams": [{"StreamUrl": null, "StreamHttpUrl": "https://cdn.example/slides.mp4", "Tag": "OBJECT"}],
                "IsAudioPodcastEncodeComplete": true,
                "IsPodcastEncodeComplete": true,
                "IsViewerEncodeComplete": true,
            }
        })
        .to_string(),
    )
}

/// Recorded, still being encoded.
pub fn encoding() -> Reply {
    Reply::json(
        r#"{"Delivery":{"SessionName":"Soon","PodcastStreams":[{"StreamUrl":null}],"Streams":[],
        "IsPodcastEncodeComplete":false,"IsViewerEncodeComplete":false}}"#,
    )
}

/// Needs a login. The message holds a secret that must not appear anywhere.
pub fn login_required() -> Reply {
    Reply::json(
        r#"{"ErrorCode":2,"ErrorMessage":"Access is denied. <a href=\"/x?token=secret\">Log in</a>"}"#,
    )
}

/// Deleted.
pub fn deleted() -> Reply {
    Reply::json(
        r#"{"ErrorCode":1,"ErrorMessage":"This session isn't available. It may have been deleted.<br><a>See</a>"}"#,
    )
}

/// An undocumented error code. The message holds a secret that must not appear anywhere.
pub fn unknown_error() -> Reply {
    Reply::json(r#"{"ErrorCode":9,"ErrorMessage":"<b>Overloaded</b>, see https://x.example/?token=secret"}"#)
}

/// Truncated JSON.
pub fn unreadable() -> Reply {
    Reply::json(r#"{"Delivery":{"SessionName":"#)
}
