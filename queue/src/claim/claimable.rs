//! Which jobs can be claimed: one definition for the claim, for drain and for counts.
//!
//! `sql/terms/` defines the terms; statements use them as `{name}`. An available job is exactly one of
//! `{single}`, `{grouped}` and `{suspect}`: the predicates of the claim's indexes. `{spent}` is true for a suspect that
//! gets no more runs; at least one of its crashes was alone in its process. `{due}` needs a row `job`
//! and an array `paused` of the paused queues. `{waiting_kinds}` is the body of a recursive CTE `kinds`: the kinds with
//! waiting jobs and then a NULL, by index lookups.

// A term comes before those that it uses.
const TERMS: [(&str, &str); 6] = [
    ("{waiting_kinds}", include_str!("../../sql/terms/waiting_kinds.sql")),
    ("{single}", include_str!("../../sql/terms/single.sql")),
    ("{grouped}", include_str!("../../sql/terms/grouped.sql")),
    ("{spent}", include_str!("../../sql/terms/spent.sql")),
    ("{suspect}", include_str!("../../sql/terms/suspect.sql")),
    ("{due}", include_str!("../../sql/terms/due.sql")),
];

/// The statement with its terms replaced. Call it once per statement: the result is the key of sqlx's
/// statement cache.
pub(crate) fn expand(statement: &str) -> String {
    TERMS
        .iter()
        .fold(statement.to_owned(), |statement, (name, term)| statement.replace(name, term.trim_end()))
}
