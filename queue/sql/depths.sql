-- fleet::depths
SELECT kinds.kind,
       least(waiting.due, $2) AS due, least(waiting.scheduled, $2) AS scheduled,
       least(COALESCE(busy.running, 0), $2) AS running,
       COALESCE(extract(epoch FROM now() - waiting.oldest), 0)::float8 AS oldest_seconds,
       least(waiting.failing, $2) AS failing
  FROM unnest($1::text[]) WITH ORDINALITY AS kinds (kind, place)
 CROSS JOIN LATERAL (
       SELECT count(*) FILTER (WHERE run_at <= now()) AS due,
              count(*) FILTER (WHERE run_at > now()) AS scheduled,
              min(greatest(run_at, '0001-01-01 00:00Z')) FILTER (WHERE run_at <= now()) AS oldest,
              count(*) FILTER (WHERE errors > 0 OR crashes > 0) AS failing
         FROM (SELECT single.run_at, single.errors, single.crashes
                 FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
                CROSS JOIN LATERAL (
                      SELECT run_at, errors, crashes FROM queue.jobs AS job
                       WHERE job.kind = kinds.kind AND job.priority = p.priority
                         AND {single}
                       ORDER BY run_at LIMIT $2
                ) AS single
               UNION ALL
               (SELECT run_at, errors, crashes FROM queue.jobs AS job
                 WHERE job.kind = kinds.kind AND {grouped}
                 ORDER BY group_key, priority, run_at LIMIT $2)
               UNION ALL
               SELECT run_at, errors, crashes
                 FROM (SELECT kind, run_at, errors, crashes FROM queue.jobs
                        WHERE {suspect}
                        ORDER BY priority, run_at LIMIT $2) AS suspect
                WHERE suspect.kind = kinds.kind) AS found
 ) AS waiting
  LEFT JOIN (SELECT kind, count(*) AS running FROM queue.jobs WHERE state = 'running' GROUP BY kind) AS busy
    ON busy.kind = kinds.kind
 ORDER BY kinds.place
