//! `lecture_streams`: the streams that Panopto named for a lecture.

use bedel_recordings::panopto::streams::{Span, Stream, StreamKind, are_arranged};
use serde_json::Value;
use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

/// Replaces the streams of a lecture.
///
/// # Errors
/// The database's.
pub async fn replace(tx: &mut PgConnection, lecture_id: Uuid, streams: &[Stream]) -> Result<(), sqlx::Error> {
    sqlx::query("-- streams::replace\nDELETE FROM lecture_streams WHERE lecture_id = $1")
        .bind(lecture_id)
        .execute(&mut *tx)
        .await?;
    let kinds: Vec<&str> = streams.iter().map(|stream| stream.kind.name()).collect();
    let urls: Vec<&str> = streams.iter().map(|stream| stream.url.as_str()).collect();
    let spans: Vec<Value> = streams
        .iter()
        .map(|stream| serde_json::to_value(&stream.spans).expect("plain data is JSON"))
        .collect();
    sqlx::query(
        "-- streams::replace_insert
         INSERT INTO lecture_streams (lecture_id, position, kind, url, spans)
         SELECT $1, position - 1, kind, url, spans
         FROM unnest($2::text[], $3::text[], $4::jsonb[]) WITH ORDINALITY AS new (kind, url, spans, position)",
    )
    .bind(lecture_id)
    .bind(kinds)
    .bind(urls)
    .bind(spans)
    .execute(tx)
    .await?;
    Ok(())
}

/// The streams of a lecture, best sound first, if `stream_url` is one of them. Otherwise a client sent it, and
/// its file's clock is the session's. `None` if a row cannot be understood.
///
/// # Errors
/// The database's.
pub async fn read(
    connection: &mut PgConnection,
    lecture_id: Uuid,
    stream_url: &str,
) -> Result<Option<Vec<Stream>>, sqlx::Error> {
    let rows: Vec<(String, String, Value)> = sqlx::query_as(
        "-- streams::read
         SELECT kind, url, spans FROM lecture_streams WHERE lecture_id = $1 ORDER BY position",
    )
    .bind(lecture_id)
    .fetch_all(connection)
    .await?;
    if !rows.iter().any(|(_, url, _)| url == stream_url) {
        return Ok(Some(Vec::new()));
    }
    Ok(rows.into_iter().map(|(kind, url, spans)| parse(&kind, &url, spans)).collect())
}

fn parse(kind: &str, url: &str, spans: Value) -> Option<Stream> {
    let spans: Vec<Span> =
        serde_json::from_value(spans).ok().filter(|spans: &Vec<Span>| are_arranged(spans))?;
    Some(Stream { url: Url::parse(url).ok()?, kind: StreamKind::from_name(kind)?, spans })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_a_stream_or_nothing() {
        let url = "https://cdn.example/camera.mp4?x=1";
        let spans =
            json!([{ "at": 10.0, "start": 0, "end": 30.5 }, { "at": 40.5, "start": 35, "end": null }]);
        let stream = parse("camera", url, spans).expect("a stream");
        assert_eq!((stream.kind, stream.spans.len()), (StreamKind::Camera, 2));
        assert_eq!(stream.spans[1], Span { at: 40.5, start: 35.0, end: None });
        for spans in
            [json!(null), json!({}), json!([{}]), json!([{ "at": -1, "start": 0, "end": 3 }]), json!("x")]
        {
            assert_eq!(parse("camera", url, spans.clone()), None, "{spans}");
        }
        assert_eq!(parse("film", url, json!([])), None);
        assert_eq!(parse("camera", "no address", json!([])), None);
    }
}
