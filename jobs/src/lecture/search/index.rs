//! Writes a lecture's rows in the index.

use sqlx::PgConnection;
use uuid::Uuid;

use super::passages::SearchRows;
use super::words::folded;

/// Version of the rows. Grows when the same transcript gets other rows; `index-transcripts` rebuilds older ones.
pub const VERSION: i32 = 1;

/// Replaces the lecture's rows, in the transaction of the caller, which has locked the lecture. The title is
/// searched too.
///
/// Two statements. The words of the lecture are those of its passages, limited to what one value of
/// PostgreSQL holds: 20,000 words of at most 50 bytes.
pub async fn replace(
    tx: &mut PgConnection,
    lecture_id: Uuid,
    title: Option<&str>,
    rows: &SearchRows,
) -> Result<(), sqlx::Error> {
    let title = title.map(without_controls).filter(|title| !title.trim().is_empty());
    let mut numbers: Vec<i32> = Vec::new();
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    let (mut texts, mut words): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    if let Some(title) = title {
        numbers.push(0);
        starts.push(0.0);
        ends.push(0.0);
        words.push(folded(&title));
        texts.push(title);
    }
    for (number, passage) in (1..).zip(&rows.passages) {
        for spoken in &passage.segments {
            numbers.push(number);
            starts.push(spoken.start);
            ends.push(spoken.end);
            words.push(folded(&spoken.text));
            texts.push(spoken.text.clone());
        }
    }
    remove(tx, lecture_id).await?;
    sqlx::query(
        r#"-- index::replace
         WITH config AS (
             SELECT coalesce((SELECT cfgname::text FROM pg_catalog.pg_ts_config
                              WHERE cfgname = $3 AND cfgnamespace = 'pg_catalog'::regnamespace), 'simple') AS name
         ), texts AS (
             SELECT number, array_agg(start ORDER BY place) AS starts, array_agg(finish ORDER BY place) AS ends,
                    array_agg(text ORDER BY place) AS texts, string_agg(folded, ' ' ORDER BY place) AS folded
             FROM unnest($4::integer[], $5::double precision[], $6::double precision[], $7::text[], $8::text[])
                  WITH ORDINALITY AS segment (number, start, finish, text, folded, place)
             GROUP BY number
         ), passages AS MATERIALIZED (
             SELECT number, starts, ends, texts,
                    to_tsvector(('pg_catalog.' || name)::regconfig, folded)
                    || CASE name WHEN 'simple' THEN ''::tsvector
                       ELSE strip(to_tsvector('pg_catalog.simple', folded)) END AS words
             FROM texts CROSS JOIN config
         ), lecture AS (
             INSERT INTO transcript_index (lecture_id, version, config, words)
             SELECT $1, $2, name, coalesce((
                 SELECT array_to_tsvector(array_agg(word))
                 FROM (SELECT DISTINCT word COLLATE "C" AS word FROM passages CROSS JOIN unnest(tsvector_to_array(words)) AS word
                       WHERE octet_length(word) <= 50 ORDER BY word LIMIT 20000) AS distinct_words), '')
             FROM config
         )
         INSERT INTO transcript_passages (lecture_id, number, starts, ends, texts, words)
         SELECT $1, number, starts, ends, texts, words FROM passages"#,
    )
    .bind(lecture_id)
    .bind(VERSION)
    .bind(rows.config)
    .bind(numbers)
    .bind(starts)
    .bind(ends)
    .bind(texts)
    .bind(words)
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets `index-transcripts` make the lecture's rows again.
pub async fn mark_stale(tx: &mut PgConnection, lecture_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("-- index::mark_stale\nUPDATE transcript_index SET version = 0 WHERE lecture_id = $1")
        .bind(lecture_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// Removes the lecture's rows; its passages cascade.
async fn remove(tx: &mut PgConnection, lecture_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("-- index::remove\nDELETE FROM transcript_index WHERE lecture_id = $1")
        .bind(lecture_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// PostgreSQL refuses NUL.
fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
