//! Compares `docs/reference/database-schema.md` with the live schema, so that both change together.

use std::collections::{BTreeMap, BTreeSet};

use super::live::Column;

/// Compares the rows `| Column | Type | Notes |` under each `### table` with the table's columns in both
/// directions, and the named objects with the text.
pub fn compare(text: &str, live: &BTreeMap<String, Vec<Column>>, names: &BTreeSet<String>) {
    let documented = tables(text);
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        live.keys().collect::<Vec<_>>(),
        "the tables of the document and of the database"
    );
    for (table, columns) in live {
        let rows = &documented[table];
        let found: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        let written: Vec<_> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(written, found, "the columns of {table}");
        for (column, (_, kind)) in columns.iter().zip(rows) {
            assert_eq!(
                read_kind(kind),
                expected(column),
                "{table}.{}: the document says {kind:?}",
                column.name
            );
        }
    }
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "{name} is not in the document");
    }
    let prefixed = |word: &&str| ["idx_", "uq_", "fk_", "trg_"].iter().any(|prefix| word.starts_with(prefix));
    for word in text.split('`').skip(1).step_by(2).filter(prefixed) {
        assert!(names.contains(word), "{word} is in the document and not in the database");
    }
}

/// Rows per table: name and type, as written. A row may name several columns: `created_at / updated_at`.
fn tables(text: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut table = None;
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            table = heading.strip_prefix("## ").map(|name| name.trim().to_owned());
            continue;
        }
        let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let (Some(table), true, [name, kind, _]) = (&table, line.starts_with('|'), cells.as_slice()) else {
            continue;
        };
        if *name == "Column" || name.starts_with("---") {
            continue;
        }
        let rows = tables.entry(table.clone()).or_default();
        rows.extend(name.split('/').map(|one| (one.trim().to_owned(), (*kind).to_owned())));
    }
    tables
}

/// What the document says of a column: its type, then other facts in capitals.
type Kind = (String, bool, bool, bool, bool);

fn expected(column: &Column) -> Kind {
    let Column { kind, nullable, primary, foreign, alone, .. } = column.clone();
    (kind, nullable, primary, foreign, alone)
}

fn read_kind(text: &str) -> Kind {
    let mut words = text.split([' ', '/']);
    let kind = match words.next().expect("a type") {
        "UUID" => "uuid",
        "TEXT" => "text",
        "SMALLINT" => "smallint",
        "INT" => "integer",
        "BIGINT" => "bigint",
        "BOOLEAN" => "boolean",
        "BYTEA" => "bytea",
        "TSVECTOR" => "tsvector",
        "FLOAT8[]" => "double precision[]",
        "TEXT[]" => "text[]",
        "JSONB" => "jsonb",
        "TIMESTAMPTZ" => "timestamp with time zone",
        other => other,
    };
    let rest: Vec<_> = words.collect();
    let says = |word: &str| rest.contains(&word);
    for word in &rest {
        assert!(["nullable", "PK", "FK", "UNIQUE"].contains(word), "{word:?} in {text:?}");
    }
    (kind.to_owned(), says("nullable"), says("PK"), says("FK"), says("UNIQUE"))
}
