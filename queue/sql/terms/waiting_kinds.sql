SELECT LEAST(
       (SELECT kind FROM queue.jobs
         WHERE {single}
         ORDER BY kind LIMIT 1),
       (SELECT kind FROM queue.jobs
         WHERE {grouped}
         ORDER BY kind LIMIT 1)) AS kind
UNION ALL
SELECT LEAST(
       (SELECT job.kind FROM queue.jobs AS job
         WHERE job.kind > kinds.kind AND {single}
         ORDER BY job.kind LIMIT 1),
       (SELECT job.kind FROM queue.jobs AS job
         WHERE job.kind > kinds.kind AND {grouped}
         ORDER BY job.kind LIMIT 1))
  FROM kinds WHERE kinds.kind IS NOT NULL
