-- rescue::rescue_ownerless
WITH gone AS MATERIALIZED (
    SELECT id, lease FROM queue.jobs AS job
     WHERE state = 'running'
       AND NOT EXISTS (SELECT FROM queue.workers AS w WHERE w.id = job.worker_id)
), lost AS MATERIALIZED (
    -- By the lease: another rescuer may have been here, and the job may run again by now.
    SELECT job.id FROM queue.jobs AS job JOIN gone ON gone.id = job.id AND gone.lease = job.lease
     WHERE job.state = 'running'
     ORDER BY job.id
       FOR UPDATE OF job SKIP LOCKED
), rescued AS (
    UPDATE queue.jobs AS job
       SET state = 'available', lease = NULL, worker_id = NULL, checkpoint_advanced = false,
           reason = 'the worker process died',
           crashes = CASE WHEN checkpoint_advanced THEN 0 ELSE least(crashes::bigint + 1, job.attempt - errors) END,
           run_at = now() + CASE WHEN checkpoint_advanced THEN interval '0'
                                 ELSE (crashes::float8 + 1) * interval '1 second' END
      FROM lost
     WHERE job.id = lost.id
    RETURNING job.id, job.attempt, job.worker
)
INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
SELECT id, attempt, worker, 'crashed', 'the worker process died during this attempt' FROM rescued
ON CONFLICT DO NOTHING
