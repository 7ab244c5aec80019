-- rescue::rescue_jobs_of
WITH gone AS MATERIALIZED (
    SELECT id, lease FROM queue.jobs AS job
     WHERE state = 'running' AND worker_id = ANY ($1)
       AND NOT EXISTS (SELECT FROM queue.workers AS w WHERE w.id = job.worker_id)
), lost AS MATERIALIZED (
    -- By the lease: another rescuer may have been here, and the job may run again by now.
    SELECT job.id FROM queue.jobs AS job JOIN gone ON gone.id = job.id AND gone.lease = job.lease
     WHERE job.state = 'running'
     ORDER BY job.id
       FOR UPDATE OF job SKIP LOCKED
), rescued AS (
    UPDATE queue.jobs AS job
       SET state = 'available', lease = NULL, worker_id = NULL, checkpoint_advanced = false, alone = false,
           reason = 'the worker process died',
           -- Constraint: an attempt spends at most one budget.
           crashes = least(job.attempt - errors,
                           CASE WHEN now() >= give_up_at THEN greatest(crashes, 1)
                                WHEN checkpoint_advanced THEN 0
                                WHEN alone THEN crashes::bigint + 1
                                WHEN crashes = 0 AND crash_remembered THEN 1
                                ELSE crashes END),
           crash_remembered = NOT checkpoint_advanced,
           crashed_out = now() >= give_up_at,
           -- 1 s, doubled by each crash among the last six attempts. Progress shortens it no more than budgets do.
           run_at = now() + CASE WHEN now() >= give_up_at THEN interval '0'
                                 ELSE make_interval(secs => power(2, (
                                      SELECT count(*) FROM queue.failed_attempts AS earlier
                                       WHERE earlier.job_id = job.id AND earlier.class = 'crashed'
                                         AND earlier.attempt BETWEEN job.attempt - 6 AND job.attempt - 1))) END
      FROM lost
     WHERE job.id = lost.id
    RETURNING job.id, job.attempt, job.worker
)
INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
SELECT id, attempt, worker, 'crashed', 'the worker process died during this attempt' FROM rescued
ON CONFLICT DO NOTHING
