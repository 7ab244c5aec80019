WITH RECURSIVE kinds AS (
             {waiting_kinds}
        )
        SELECT * FROM (
            SELECT found.*
              FROM kinds
             CROSS JOIN (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
             CROSS JOIN LATERAL (
                   SELECT * FROM queue.jobs AS job
                    WHERE job.kind = kinds.kind AND job.priority = p.priority AND ($1::text IS NULL OR kinds.kind = $1)
                      AND {single}
                    ORDER BY run_at LIMIT CASE WHEN $1 IS NULL THEN $11 / 10 ELSE $11 END
             ) AS found
             UNION ALL
            SELECT found.*
              FROM kinds
             CROSS JOIN LATERAL (
                   SELECT * FROM queue.jobs AS job
                    WHERE job.kind = kinds.kind AND ($1::text IS NULL OR kinds.kind = $1) AND {grouped}
                    ORDER BY group_key, priority, run_at LIMIT CASE WHEN $1 IS NULL THEN $11 / 10 ELSE $11 END
             ) AS found
             UNION ALL
            (SELECT * FROM queue.jobs WHERE {suspect}
              ORDER BY priority, run_at LIMIT CASE WHEN $1 IS NULL THEN $11 / 10 ELSE $11 END)
        ) AS waiting
        LIMIT $11
