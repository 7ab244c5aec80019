-- drain::is_idle
WITH RECURSIVE paused AS MATERIALIZED (
    SELECT ARRAY(SELECT name::text FROM queue.queues WHERE paused_at IS NOT NULL) AS queues
), wanted AS MATERIALIZED (
    SELECT w.kind, w.breaker, paused.queues AS paused
      FROM unnest($1::text[], $2::text[], $3::boolean[]) AS w (kind, lane, breaker) CROSS JOIN paused
     WHERE lane <> ALL (paused.queues)
), priorities AS (
    SELECT * FROM (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
), groups AS (
    SELECT wanted.kind, wanted.breaker, wanted.paused, first.group_key
      FROM wanted
     CROSS JOIN LATERAL (
           SELECT group_key FROM queue.jobs AS job
            WHERE job.kind = wanted.kind AND {grouped}
            ORDER BY group_key LIMIT 1
     ) AS first
    UNION ALL
    SELECT groups.kind, groups.breaker, groups.paused, next.group_key
      FROM groups
     CROSS JOIN LATERAL (
           SELECT group_key FROM queue.jobs AS job
            WHERE job.kind = groups.kind AND job.group_key > groups.group_key
              AND {grouped}
            ORDER BY group_key LIMIT 1
     ) AS next
), waiting AS (
    SELECT groups.*, groups.breaker AND EXISTS (
           SELECT FROM queue.breakers AS b
            WHERE b.group_key = groups.group_key AND b.probe_at > now()) AS is_down
      FROM groups
)
SELECT NOT EXISTS (SELECT FROM queue.jobs WHERE state = 'running' AND kind = ANY ($1::text[]))
   AND NOT EXISTS (
       SELECT FROM queue.jobs AS job JOIN wanted ON wanted.kind = job.kind
        WHERE {suspect} AND {due}
          AND (NOT wanted.breaker OR crashes >= max_crashes OR give_up_at <= now()
               OR NOT EXISTS (SELECT FROM queue.breakers AS b
                               WHERE b.group_key = job.group_key AND b.probe_at > now())))
   AND NOT EXISTS (
       SELECT FROM wanted CROSS JOIN priorities
        CROSS JOIN LATERAL (
              SELECT FROM queue.jobs AS job
               WHERE job.kind = wanted.kind AND job.priority = priorities.priority
                 AND {single} AND {due}
               ORDER BY run_at LIMIT 1
        ) AS single)
   AND NOT EXISTS (
       SELECT FROM waiting CROSS JOIN priorities
        CROSS JOIN LATERAL (
              SELECT FROM queue.jobs AS job
               WHERE job.kind = waiting.kind AND job.group_key = waiting.group_key
                 AND job.priority = priorities.priority
                 AND {grouped} AND {due}
               ORDER BY run_at LIMIT 1
        ) AS grouped
        WHERE NOT waiting.is_down)
   AND NOT EXISTS (
       SELECT FROM waiting
        CROSS JOIN LATERAL (
              SELECT FROM queue.jobs AS job
               WHERE job.kind = waiting.kind AND job.group_key = waiting.group_key AND give_up_at <= now()
                 AND {grouped}
                 AND queue <> ALL (waiting.paused)
               ORDER BY give_up_at LIMIT 1
        ) AS overdue
        WHERE waiting.is_down)
