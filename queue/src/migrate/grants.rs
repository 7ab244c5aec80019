//! What the role must be allowed to do, checked before the first change.

use sqlx::PgConnection;

use super::ledger::Ledger;

/// The grants that the connection's role lacks for these pending migrations, as statements for an administrator.
pub(super) async fn missing(
    connection: &mut PgConnection,
    ledger: &Ledger,
    pending: &[i64],
) -> Result<Vec<String>, sqlx::Error> {
    if pending.is_empty() {
        return Ok(Vec::new());
    }
    // PostgreSQL wants the right even for a schema that exists.
    let makes_schema = ledger.schema.is_some()
        && ledger
            .migrations()
            .any(|known| pending.contains(&known.version) && known.sql.as_str().contains("CREATE SCHEMA"));
    sqlx::query_scalar(
        "-- migrate::missing_grants
         WITH schemas AS (
             SELECT oid, nspname AS name FROM pg_namespace WHERE nspname = coalesce($1::text, current_schema()::text, 'public')
         )
         SELECT format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), current_user)
          WHERE ($2 OR ($1 IS NOT NULL AND NOT EXISTS (SELECT FROM schemas)))
            AND NOT has_database_privilege(current_database(), 'CREATE')
          UNION ALL
         SELECT format('GRANT %s ON SCHEMA %I TO %I;', string_agg(wanted, ', ' ORDER BY wanted DESC), name, current_user)
           FROM schemas CROSS JOIN unnest(ARRAY['USAGE', 'CREATE']) AS wanted
          WHERE NOT has_schema_privilege(oid, wanted)
          GROUP BY name
          UNION ALL
         SELECT DISTINCT format('GRANT %I TO %I;', pg_get_userbyid(relowner), current_user)
           FROM pg_class JOIN schemas ON schemas.oid = relnamespace
          WHERE relkind IN ('r', 'p', 'v', 'S') AND NOT pg_has_role(relowner, 'USAGE')
            AND ($1 IS NOT NULL OR relname = $3::text)",
    )
    .bind(ledger.schema)
    .bind(makes_schema)
    .bind(ledger.table)
    .fetch_all(connection)
    .await
}
