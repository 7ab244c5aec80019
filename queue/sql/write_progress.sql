-- heartbeat::write_progress
WITH told AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::real[]) AS t (id, lease, progress)
), free AS MATERIALIZED (
    SELECT job.id FROM queue.jobs AS job JOIN told ON told.id = job.id AND told.lease = job.lease
     WHERE job.state = 'running'
     ORDER BY job.id
       FOR UPDATE OF job SKIP LOCKED
)
UPDATE queue.jobs AS job SET progress = told.progress
  FROM told JOIN free ON free.id = told.id
 WHERE job.id = told.id
RETURNING job.lease
