-- fence::complete
UPDATE queue.jobs AS job
   SET state = 'completed', finalized_at = now(), result = done.result, reason = NULL
  FROM ROWS FROM (unnest($1::uuid[]), unnest($2::uuid[]), unnest($3::jsonb[])) AS done (id, lease, result)
 WHERE job.id = done.id AND job.lease = done.lease AND job.finalized_at IS NULL
