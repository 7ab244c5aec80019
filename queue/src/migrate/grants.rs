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
    let text = ledger.migrations().filter(|known| pending.contains(&known.version));
    let text = text.map(|known| known.sql.as_str()).collect::<Vec<_>>().join("\n");
    // PostgreSQL wants the right even for a schema that exists.
    let makes_schema = ledger.schema.is_some() && text.contains("CREATE SCHEMA");
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
         SELECT DISTINCT format('GRANT %I TO %I;', pg_get_userbyid(owner), current_user)
           FROM (SELECT relowner AS owner, relname AS name FROM pg_class JOIN schemas ON schemas.oid = relnamespace
                  WHERE relkind IN ('r', 'p', 'v', 'S')
                  UNION
                 SELECT proowner, proname FROM pg_proc JOIN schemas ON schemas.oid = pronamespace) AS existing
          WHERE NOT pg_has_role(owner, 'USAGE')
            AND (name = $3::text
                 OR $1 IS NOT NULL AND $4 ~ ('\\m' || regexp_replace(name, '\\W', '\\\\\\&', 'g') || '\\M'))",
    )
    .bind(ledger.schema)
    .bind(makes_schema)
    .bind(ledger.table.rsplit('.').next())
    .bind(text)
    .fetch_all(connection)
    .await
}
