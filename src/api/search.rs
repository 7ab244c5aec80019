//! Search in the transcripts of one's own lectures.

use axum::Json;
use axum::extract::State;
use bedel_jobs::lecture::list::{Cursor, InvalidCursor};
use bedel_jobs::lecture::search::{self, Hit, InvalidQuery, MAX_LIMIT, Query, Scope};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::problem::Problem;
use super::query::QueryFields;
use super::state::ApiState;

/// Default page size.
const DEFAULT_LIMIT: u16 = 20;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(find))
}

/// A page of hits.
#[derive(Serialize, ToSchema)]
struct HitPage {
    /// Lectures newest first, at most three hits of each, in order of time. A page may hold fewer hits than `limit`,
    /// even none, and not be the last.
    hits: Vec<Hit>,
    /// For the next page; null after the last page.
    next_cursor: Option<String>,
}

/// Find what was said
///
/// Searches the transcripts and titles of your lectures. All words must occur within about half a minute, in any
/// form of the lecture's language. `"quoted words"` are a phrase, `word*` is a prefix of three characters or more,
/// `-word` excludes. The last word is a prefix too, unless a blank follows. Stop words (`the`, `of`) are ignored.
#[utoipa::path(
    get, path = "/api/search", tag = "lectures",
    params(
        ("q" = String, Query, description = "Words to find", min_length = 1, max_length = 200),
        ("course_id" = Option<Uuid>, Query, description = "Only this course"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "Page size; 20 by default", minimum = 1, maximum = 50),
    ),
    responses((status = 200, description = "Moments of lectures", body = HitPage)),
)]
async fn find(
    State(state): State<ApiState>,
    caller: Caller,
    mut fields: QueryFields,
) -> Result<Json<HitPage>, Problem> {
    let text: String = fields.parsed("q", "required", InvalidQuery::NoWord).unwrap_or_default();
    let query = text.parse::<Query>().map_err(|error| fields.refuse("q", error.code(), error)).ok();
    let course_id = fields.parsed("course_id", "uuid", "this must be a UUID");
    let after: Option<Cursor> = fields.parsed("cursor", "cursor", InvalidCursor);
    let limit = fields.number("limit", 1, MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    fields.finish()?;
    let Some(query) = query else { return Err(Problem::bad_request("The query string is malformed.")) };
    let tenants = &state.environment.settings.tenants;
    let scope = Scope { user_id: caller.user_id, course_id, after, tenants };
    let mut connection = state.acquire().await?;
    let page = search::page(&mut connection, &query, scope, limit).await?;
    Ok(Json(HitPage { hits: page.hits, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}
