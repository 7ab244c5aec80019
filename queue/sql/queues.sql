-- queues::list
WITH RECURSIVE kinds AS (
    {waiting_kinds}
), waiting AS (
    SELECT found.queue, found.run_at
      FROM kinds
     CROSS JOIN (VALUES (1::smallint), (2::smallint), (3::smallint), (4::smallint)) AS p (priority)
     CROSS JOIN LATERAL (
           SELECT queue, run_at FROM queue.jobs AS job
            WHERE job.kind = kinds.kind AND job.priority = p.priority
              AND {single}
            ORDER BY run_at LIMIT $1
     ) AS found
     UNION ALL
    SELECT found.queue, found.run_at
      FROM kinds
     CROSS JOIN LATERAL (
           SELECT queue, run_at FROM queue.jobs AS job
            WHERE job.kind = kinds.kind AND {grouped}
            ORDER BY group_key, priority, run_at LIMIT $1
     ) AS found
     UNION ALL
    (SELECT queue, run_at FROM queue.jobs
      WHERE {suspect}
      ORDER BY priority, run_at LIMIT $1)
), at_work AS (
    SELECT queue FROM queue.jobs WHERE state = 'running' ORDER BY worker_id LIMIT $1
), counted AS (
    SELECT queue, count(*) AS available, 0 AS running, min(run_at) AS oldest FROM waiting GROUP BY queue
     UNION ALL
    SELECT queue, 0, count(*), NULL FROM at_work GROUP BY queue
     UNION ALL
    SELECT name, 0, 0, NULL FROM queue.queues
)
SELECT counted.queue::text AS name, q.paused_at, min(oldest) AS oldest_run_at,
       LEAST(sum(available)::bigint, $1) AS available, sum(running)::bigint AS running
  FROM counted LEFT JOIN queue.queues AS q ON q.name = counted.queue
 GROUP BY counted.queue, q.name
 ORDER BY counted.queue
