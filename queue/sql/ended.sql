-- fence::ended
SELECT job.lease
  FROM unnest($1::uuid[], $2::uuid[]) AS held (id, lease)
  JOIN queue.jobs AS job ON job.id = held.id AND job.lease = held.lease
 WHERE job.finalized_at IS NOT NULL
