-- open_groups::find
WITH RECURSIVE waiting AS (
    (SELECT group_key FROM queue.jobs
      WHERE state = 'available' AND group_key IS NOT NULL
      ORDER BY group_key LIMIT 1)
    UNION ALL
    SELECT next.group_key
      FROM waiting
     CROSS JOIN LATERAL (
           SELECT job.group_key FROM queue.jobs AS job
            WHERE job.group_key > waiting.group_key AND state = 'available' AND group_key IS NOT NULL
            ORDER BY job.group_key LIMIT 1
     ) AS next
)
SELECT waiting.group_key::text,
       CASE WHEN breaker.group_key IS NULL THEN NULL
            WHEN probe_at <= now() AND NOT EXISTS (
                 SELECT FROM queue.jobs AS probe
                  WHERE probe.state = 'running' AND probe.group_key = breaker.group_key
                    AND probe.group_key IS NOT NULL AND probe.attempted_at >= breaker.probe_at)
            THEN 1 ELSE 0 END AS room
  FROM waiting
  LEFT JOIN LATERAL (
       SELECT * FROM queue.breakers AS open
        WHERE open.group_key = waiting.group_key AND opened_at IS NOT NULL
        LIMIT 1
  ) AS breaker ON true
