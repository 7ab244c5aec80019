-- heartbeat::write_progress
WITH report AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::real[]) AS t (id, lease, progress)
), free AS MATERIALIZED (
    SELECT job.id FROM queue.jobs AS job JOIN report ON report.id = job.id AND report.lease = job.lease
     WHERE job.finalized_at IS NULL
     ORDER BY job.id
       FOR UPDATE OF job SKIP LOCKED
)
UPDATE queue.jobs AS job SET progress = report.progress
  FROM report JOIN free ON free.id = report.id
 WHERE job.id = report.id
RETURNING job.lease
