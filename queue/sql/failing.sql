-- overview::failing
SELECT kinds.kind, least(found.failing, $2) AS failing
  FROM unnest($1::text[]) WITH ORDINALITY AS kinds (kind, place)
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE errors > 0 OR crashes > 0) AS failing
         FROM (SELECT single.errors, single.crashes
                 FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
                CROSS JOIN LATERAL (
                      SELECT errors, crashes FROM queue.jobs AS job
                       WHERE job.kind = kinds.kind AND job.priority = p.priority
                         AND {single}
                       ORDER BY run_at LIMIT $2
                ) AS single
               UNION ALL
               (SELECT errors, crashes FROM queue.jobs AS job
                 WHERE job.kind = kinds.kind AND {grouped}
                 ORDER BY group_key, priority, run_at LIMIT $2)
               UNION ALL
               SELECT errors, crashes
                 FROM (SELECT kind, errors, crashes FROM queue.jobs
                        WHERE {suspect}
                        ORDER BY priority, run_at LIMIT $2) AS suspect
                WHERE suspect.kind = kinds.kind) AS waiting
 ) AS found
 ORDER BY kinds.place
