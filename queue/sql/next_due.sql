-- claim::next_due
SELECT extract(epoch FROM greatest(least(min(run_at), now() + interval '1 hour'), now()) - now())::float8
  FROM (SELECT first.run_at
          FROM unnest($1::text[]) AS known (kind)
         CROSS JOIN (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
         CROSS JOIN LATERAL (
               (SELECT run_at FROM queue.jobs AS job
                 WHERE job.kind = known.kind AND job.priority = p.priority AND {single}
                 ORDER BY run_at LIMIT 1)
               UNION ALL
               (SELECT run_at FROM queue.jobs AS job
                 WHERE job.kind = known.kind AND job.priority = p.priority AND {suspect}
                 ORDER BY run_at LIMIT 1)
         ) AS first
        UNION ALL
        -- Which of a group's jobs is due depends on the other groups: any of them is a reason to claim.
        SELECT now()
          FROM unnest($1::text[]) AS known (kind)
         WHERE EXISTS (SELECT FROM queue.jobs AS job WHERE job.kind = known.kind AND {grouped})) AS waiting
