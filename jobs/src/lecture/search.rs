//! Searches the transcripts of a user's lectures.
//!
//! The index has two tables. `transcript_index` holds all words of a lecture in one row: an inverted index finds
//! the lectures with all words of the query. Then the passages of a few of them are read, newest lecture first,
//! until the page is full. So a common word costs one row a lecture, not one row a mention, and no page reads more
//! than `SCAN_LIMIT` lectures' passages.
//!
//! - [`query`]: what a user may type.
//! - [`mod@passages`] and [`index`]: the rows of a transcript, written in the commit of `transcribe`.
//! - `marks`: where in a passage the words are.

pub mod index;
mod marks;
pub mod passages;
pub mod query;
mod words;

use std::collections::HashMap;

use bedel_recordings::panopto;
use bedel_recordings::panopto::session_id::DeliveryKey;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::query::{InvalidQuery, MAX_QUERY_CHARS, Query};

use self::marks::Stems;
use super::list::Cursor;

/// Most hits in a page.
pub const MAX_LIMIT: u16 = 50;

/// Most hits of one lecture in a page.
const HITS_PER_LECTURE: u16 = 3;

/// Lectures whose passages a page reads. If fewer have the words close together, a page holds fewer hits than its
/// limit, and the next one continues after them.
const SCAN_LIMIT: usize = 100;

/// A moment of a lecture.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Hit {
    /// The lecture.
    pub lecture_id: Uuid,
    /// The title that users see.
    pub title: Option<String>,
    /// Its course.
    pub course_id: Uuid,
    /// Seconds from the start of the recording, of the segment with the words; 0 for a match in the title.
    pub start: f64,
    /// Where that segment ends; 0 for a match in the title.
    pub end: f64,
    /// True if the title has the words.
    pub in_title: bool,
    /// HTML: the text around, escaped, with `<mark>` around the words found. No other tag.
    pub snippet: String,
    /// Opens the recording at that second in Panopto's viewer.
    pub url: Option<String>,
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct Hits {
    /// Newest lecture first, at most three a lecture, in order of time.
    pub hits: Vec<Hit>,
    /// Start of the next page; `None` after the last.
    pub next: Option<Cursor>,
}

/// A lecture with all words of the query, perhaps far apart.
#[derive(sqlx::FromRow)]
struct Candidate {
    linked_at: DateTime<Utc>,
    lecture_id: Uuid,
    config: String,
    /// The query in PostgreSQL's form.
    query: String,
}

/// A passage that matches.
#[derive(sqlx::FromRow)]
struct Found {
    lecture_id: Uuid,
    course_id: Uuid,
    title: Option<String>,
    panopto_url: String,
    panopto_session_id: Option<String>,
    number: i32,
    starts: Vec<f64>,
    ends: Vec<f64>,
    texts: Vec<String>,
}

/// Which lectures to search.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The lectures that this user is linked to.
    pub user_id: Uuid,
    /// Only lectures of this course.
    pub course_id: Option<Uuid>,
    /// Only lectures after this one.
    pub after: Option<Cursor>,
    /// Panopto's hosts besides its own domains.
    pub tenants: &'a [String],
}

/// The first hits in a scope, at most `limit` (1 to [`MAX_LIMIT`]). Three statements, and a few more
/// if the first lectures have too few hits: each reads twice as many lectures as the one before.
pub async fn page(
    connection: &mut PgConnection,
    query: &Query,
    scope: Scope<'_>,
    limit: u16,
) -> Result<Hits, sqlx::Error> {
    let limit = limit.clamp(1, MAX_LIMIT);
    let per_lecture = HITS_PER_LECTURE.min(limit);
    let candidates = candidates(connection, query, scope).await?;
    let readable = candidates.len().min(SCAN_LIMIT);
    let (mut found, mut count, mut read) = (Vec::new(), 0, 0);
    let mut step = usize::from(limit.div_ceil(per_lecture));
    'page: while read < readable && count < usize::from(limit) {
        let batch = &candidates[read..readable.min(read + step)];
        let mut passages = passages(connection, batch, per_lecture).await?;
        for candidate in batch {
            let own = passages.remove(&candidate.lecture_id).unwrap_or_default();
            if count + own.len() > usize::from(limit) {
                break 'page;
            }
            (count, read) = (count + own.len(), read + 1);
            found.push((candidate.config.as_str(), own));
        }
        step *= 2;
    }
    let last = candidates[..read].last().filter(|_| read < candidates.len());
    let next = last.map(|last| Cursor { linked_at: last.linked_at, lecture_id: last.lecture_id });
    let stems = stems(connection, query, &found).await?;
    let nothing = Stems::new();
    let hits = found
        .iter()
        .flat_map(|(config, own)| hits(query, own, stems.get(*config).unwrap_or(&nothing), scope.tenants));
    Ok(Hits { hits: hits.collect(), next })
}

/// The lectures with all words of the query, newest link first: one more than a page reads.
///
/// The query is built once for each configuration in use, from the words alone, by functions that take any text.
/// Here it has no phrases and no exclusions: the words of a lecture have no positions, and an excluded word may be
/// elsewhere in it.
async fn candidates(
    connection: &mut PgConnection,
    query: &Query,
    scope: Scope<'_>,
) -> Result<Vec<Candidate>, sqlx::Error> {
    // A prefix is apart from the words before it: prefixes are found by whole words, which have no positions.
    let split = query.terms.iter().map(|term| match (term.is_prefix, term.words.as_slice()) {
        (true, [lead @ .., last]) => (lead.join(" "), last.clone()),
        (_, words) => (words.join(" "), String::new()),
    });
    let (leads, prefixes): (Vec<String>, Vec<String>) = split.unzip();
    let excluded: Vec<bool> = query.terms.iter().map(|term| term.is_excluded).collect();
    sqlx::query_as(
        "-- search::candidates
         WITH RECURSIVE configs AS (
             (SELECT config FROM transcript_index ORDER BY config LIMIT 1)
             UNION ALL
             SELECT (SELECT config FROM transcript_index WHERE config > configs.config ORDER BY config LIMIT 1)
             FROM configs WHERE config IS NOT NULL
         ), compiled AS MATERIALIZED (
             SELECT config,
                    string_agg('(' || wide::text || ')', ' & ') FILTER (WHERE numnode(wide) > 0 AND NOT is_excluded) AS wide,
                    string_agg(CASE WHEN is_excluded THEN '!' ELSE '' END || '(' || narrow::text || ')', ' & ')
                        FILTER (WHERE numnode(narrow) > 0) AS narrow
             FROM configs
             CROSS JOIN unnest($1::text[], $2::text[], $3::boolean[]) AS term (lead, prefix, is_excluded)
             CROSS JOIN LATERAL (SELECT ('pg_catalog.' || config)::regconfig AS by) AS name
             CROSS JOIN LATERAL (SELECT plainto_tsquery(by, prefix) AS whole OFFSET 0) AS word
             CROSS JOIN LATERAL (SELECT CASE WHEN numnode(whole) > 0
                 THEN whole || to_tsquery('pg_catalog.simple', quote_literal(prefix) || ':*')
                 ELSE whole END AS tail OFFSET 0) AS last
             CROSS JOIN LATERAL (SELECT plainto_tsquery(by, lead) && tail AS wide,
                                        phraseto_tsquery(by, lead) && tail AS narrow OFFSET 0) AS made
             WHERE config IS NOT NULL
             GROUP BY config
         ), newest AS (
             SELECT created_at, lecture_id
             FROM (
                 SELECT created_at, lecture_id FROM user_lectures
                 WHERE $7::uuid IS NULL AND user_id = $4 AND (created_at, lecture_id) < (
                     coalesce($5, 'infinity'::timestamptz), coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
                 UNION ALL
                 SELECT link.created_at, lecture_id FROM lectures JOIN user_lectures AS link ON lecture_id = lectures.id
                 WHERE course_id = $7 AND user_id = $4 AND (link.created_at, lecture_id) < (
                     coalesce($5, 'infinity'::timestamptz), coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ) AS mine
             -- IS TRUE keeps this a hash table that is filled once. As a join, for lists of unknown length, it might become
             -- a nested loop.
             WHERE (lecture_id IN (
                 SELECT lecture_id FROM transcript_index
                 WHERE words @@ (SELECT string_agg(DISTINCT '(' || wide || ')', ' | ') FROM compiled)::tsquery
                     -- Lectures in whose language the query has only stop words are no candidates.
                     AND config = ANY (ARRAY(SELECT config FROM compiled WHERE wide IS NOT NULL))
             )) IS TRUE
             ORDER BY created_at DESC, lecture_id DESC
             LIMIT $8
         )
         SELECT created_at AS linked_at, lecture_id, config, narrow AS query
         FROM newest JOIN transcript_index USING (lecture_id) JOIN compiled USING (config)
         ORDER BY created_at DESC, lecture_id DESC",
    )
    .bind(leads)
    .bind(prefixes)
    .bind(excluded)
    .bind(scope.user_id)
    .bind(scope.after.map(|cursor| cursor.linked_at))
    .bind(scope.after.map(|cursor| cursor.lecture_id))
    .bind(scope.course_id)
    .bind(i64::try_from(SCAN_LIMIT + 1).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
}

/// The first passages that match, of each lecture.
async fn passages(
    connection: &mut PgConnection,
    candidates: &[Candidate],
    per_lecture: u16,
) -> Result<HashMap<Uuid, Vec<Found>>, sqlx::Error> {
    let (ids, queries): (Vec<Uuid>, Vec<&str>) =
        candidates.iter().map(|candidate| (candidate.lecture_id, candidate.query.as_str())).unzip();
    let rows: Vec<Found> = sqlx::query_as(
        "-- search::passages
         SELECT candidate.id AS lecture_id, course_id, title, panopto_url, panopto_session_id, number, starts, ends, texts
         FROM (SELECT id, query::tsquery FROM unnest($1::uuid[], $2::text[]) AS candidate (id, query) OFFSET 0) AS candidate
         CROSS JOIN LATERAL (
             SELECT number, starts, ends, texts FROM transcript_passages
             WHERE lecture_id = candidate.id AND words @@ candidate.query
             ORDER BY number LIMIT $3
         ) AS passage
         CROSS JOIN LATERAL (
             SELECT course_id, title, panopto_url, panopto_session_id FROM lectures WHERE id = candidate.id OFFSET 0
         ) AS lecture
         ORDER BY candidate.id, number",
    )
    .bind(ids)
    .bind(queries)
    .bind(i64::from(per_lecture))
    .fetch_all(connection)
    .await?;
    let mut passages: HashMap<Uuid, Vec<Found>> = HashMap::new();
    for row in rows {
        passages.entry(row.lecture_id).or_default().push(row);
    }
    Ok(passages)
}

/// The stems of the query's words, and of the passages' words that may match them, by configuration.
async fn stems(
    connection: &mut PgConnection,
    query: &Query,
    found: &[(&str, Vec<Found>)],
) -> Result<HashMap<String, Stems>, sqlx::Error> {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for (config, own) in found.iter().filter(|(_, own)| !own.is_empty()) {
        pairs.extend(query.terms.iter().flat_map(|term| &term.words).map(|word| (*config, word.clone())));
        let words = own.iter().flat_map(|passage| marks::candidates(&passage.texts, query));
        pairs.extend(words.map(|word| (*config, word)));
    }
    pairs.sort_unstable();
    pairs.dedup();
    let (configs, words): (Vec<&str>, Vec<String>) = pairs.into_iter().unzip();
    let rows: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "-- search::stems
         SELECT config, word, (tsvector_to_array(to_tsvector(('pg_catalog.' || config)::regconfig, word)))[1]
         FROM unnest($1::text[], $2::text[]) AS asked (config, word)",
    )
    .bind(configs)
    .bind(words)
    .fetch_all(connection)
    .await?;
    let mut stems: HashMap<String, Stems> = HashMap::new();
    for (config, word, stem) in rows {
        stems.entry(config).or_default().insert(word, stem);
    }
    Ok(stems)
}

/// The hits in a lecture's passages. Two passages may share a segment.
fn hits(query: &Query, found: &[Found], stems: &Stems, tenants: &[String]) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    for passage in found {
        let place = marks::place(&passage.texts, query, stems);
        let start = passage.starts.get(place.segment).copied().unwrap_or_default();
        let in_title = passage.number == 0;
        if hits.iter().any(|hit| !hit.in_title && !in_title && hit.start >= start) {
            continue;
        }
        hits.push(Hit {
            lecture_id: passage.lecture_id,
            title: passage.title.clone(),
            course_id: passage.course_id,
            start,
            end: passage.ends.get(place.last_segment).copied().unwrap_or(start),
            in_title,
            snippet: place.snippet,
            url: viewer_at(&passage.panopto_url, passage.panopto_session_id.as_deref(), start, tenants),
        });
    }
    hits
}

/// The address that opens the recording at a second. `None` if the lecture's own address names no recording.
#[must_use]
pub fn viewer_at(
    panopto_url: &str,
    session_id: Option<&str>,
    start: f64,
    tenants: &[String],
) -> Option<String> {
    let recording = panopto::recording(panopto_url, session_id, tenants).ok()?;
    let (name, id) = match recording.key {
        DeliveryKey::Id(id) => ("id", id),
        DeliveryKey::Tid(id) => ("tid", id),
    };
    let mut url = recording.origin.join("/Panopto/Pages/Viewer.aspx").ok()?;
    url.query_pairs_mut()
        .append_pair(name, &id.to_string())
        .append_pair("start", &format!("{:.0}", start.max(0.0).floor()));
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::viewer_at;

    #[test]
    fn a_hit_opens_the_viewer_of_the_lectures_own_site() {
        let id = "26b3ae9e-4a48-4dcc-96ba-0befba08a0fb";
        for (page, expected) in [
            (
                format!("https://x.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={id}"),
                Some("https://x.hosted.panopto.com"),
            ),
            (
                format!("https://x.cloud.panopto.eu/Panopto/Pages/Embed.aspx?start=7&id={id}#t"),
                Some("https://x.cloud.panopto.eu"),
            ),
            (
                format!("https://panopto.example.ac.uk/Panopto/Pages/Viewer.aspx?id={id}"),
                Some("https://panopto.example.ac.uk"),
            ),
            (format!("https://example.com/?id={id}"), None),
            (String::new(), None),
        ] {
            let expected =
                expected.map(|origin| format!("{origin}/Panopto/Pages/Viewer.aspx?id={id}&start=123"));
            assert_eq!(
                viewer_at(&page, None, 123.9, &["panopto.example.ac.uk".to_owned()]),
                expected,
                "{page}"
            );
        }
    }
}
