//! The schema in PostgreSQL's catalogue. Schema `public` only: the queue's schema has its own tests.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgPool;

/// Tables in `public` that the schema document leaves out: the ledger of migrations, and the row that ties
/// the storage to the database.
const OTHERS: [&str; 2] = ["_sqlx_migrations", "bedel_installation"];

/// A column: name, type as PostgreSQL writes it, nullability, and whether it belongs to the primary key, a
/// foreign key or a unique constraint.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Column {
    pub name: String,
    pub kind: String,
    pub nullable: bool,
    pub primary: bool,
    pub foreign: bool,
    pub alone: bool,
}

/// One line per fact, in the order of `expectation::SCHEMA`: enums and functions, then each table.
pub async fn schema(pool: &PgPool) -> Vec<String> {
    let mut lines = lines(
        pool,
        "SELECT 'enum ' || typname || ': ' || string_agg(enumlabel, ', ' ORDER BY enumsortorder)
         FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid
         WHERE typnamespace = 'public'::regnamespace GROUP BY typname ORDER BY typname",
    )
    .await;
    lines.extend(
        self::lines(
            pool,
            "SELECT 'function ' || pg_proc.oid::regprocedure::text || ' returns ' || prorettype::regtype::text
             FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
        )
        .await,
    );
    for table in tables(pool).await {
        lines.push(format!("table {table}"));
        for facts in [COLUMNS, CONSTRAINTS, INDEXES, TRIGGERS] {
            let found: Vec<String> =
                sqlx::query_scalar(facts).bind(&table).fetch_all(pool).await.expect("the catalogue");
            lines.extend(found);
        }
    }
    lines
}

const COLUMNS: &str = "
    SELECT 'column ' || $1 || '.' || attname || ': ' || format_type(atttypid, atttypmod)
        || CASE WHEN attnotnull THEN ', not null' ELSE ', null' END
        || coalesce(', default ' || pg_get_expr(adbin, adrelid), '')
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = ('public.' || $1)::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum";

// From version 18 on, NOT NULL is also a constraint ('n'); the columns show it already.
const CONSTRAINTS: &str = "
    SELECT 'constraint ' || $1 || ': '
        || CASE WHEN conname = 'uq_courses_code' THEN conname || ' ' ELSE '' END || pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE conrelid = ('public.' || $1)::regclass AND contype <> 'n'
    ORDER BY pg_get_constraintdef(oid) COLLATE \"C\"";

const INDEXES: &str = "
    SELECT 'index ' || $1 || ': ' || relname || ' ' || CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END
        || substring(pg_get_indexdef(indexrelid) FROM 'USING (.*)$')
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = ('public.' || $1)::regclass
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
    ORDER BY relname";

const TRIGGERS: &str = "
    SELECT 'trigger ' || $1 || ': ' || tgname || ' '
        || regexp_replace(pg_get_triggerdef(oid), '^CREATE TRIGGER \\S+ (.*) ON \\S+ (.*)$', '\\1 \\2')
    FROM pg_trigger WHERE tgrelid = ('public.' || $1)::regclass AND NOT tgisinternal AND tgenabled = 'O'
    ORDER BY tgname";

/// The columns of every table.
pub async fn columns(pool: &PgPool) -> BTreeMap<String, Vec<Column>> {
    let mut columns = BTreeMap::new();
    for table in tables(pool).await {
        let found = sqlx::query_as(
            "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS kind, NOT attnotnull AS nullable,
                coalesce(bool_or(contype = 'p'), false) AS primary, coalesce(bool_or(contype = 'f'), false) AS foreign,
                coalesce(bool_or(contype = 'u' AND cardinality(conkey) = 1), false) AS alone
             FROM pg_attribute LEFT JOIN pg_constraint ON conrelid = attrelid AND attnum = ANY(conkey)
             WHERE attrelid = ('public.' || $1)::regclass AND attnum > 0 AND NOT attisdropped
             GROUP BY attnum, attname, atttypid, atttypmod, attnotnull ORDER BY attnum",
        )
        .bind(&table)
        .fetch_all(pool)
        .await
        .expect("the catalogue");
        columns.insert(table, found);
    }
    columns
}

/// Names to look for in the document: indexes and constraints with our prefixes, triggers, functions, enums.
pub async fn named_objects(pool: &PgPool) -> BTreeSet<String> {
    let names = lines(
        pool,
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname LIKE 'idx\\_%'
         UNION SELECT conname::text FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND (conname LIKE 'uq\\_%' OR conname LIKE 'fk\\_%')
         UNION SELECT tgname::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
            WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
         UNION SELECT proname || '()' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
         UNION SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'",
    )
    .await;
    names.into_iter().collect()
}

async fn tables(pool: &PgPool) -> Vec<String> {
    let all = lines(
        pool,
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname",
    )
    .await;
    all.into_iter().filter(|table| !OTHERS.contains(&table.as_str())).collect()
}

async fn lines(pool: &PgPool, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(pool).await.expect("the catalogue")
}
