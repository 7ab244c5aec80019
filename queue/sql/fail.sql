-- fence::fail
WITH told AS MATERIALIZED (
    SELECT told.*, last OR now() >= job.give_up_at AS ends, job.attempt, job.worker
      FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::integer[], $5::float8[], $6::text[], $7::text[])
        AS told (id, lease, last, spent, delay, class, message)
      JOIN queue.jobs AS job USING (id, lease)
), settled AS (
    UPDATE queue.jobs AS job
       SET state = CASE WHEN ends THEN 'discarded' ELSE 'available' END::queue.job_state,
           lease = CASE WHEN ends THEN job.lease END,
           worker_id = CASE WHEN ends THEN worker_id END,
           finalized_at = CASE WHEN ends THEN now() END,
           errors = errors + spent,
           reason = message,
           run_at = CASE WHEN ends THEN run_at
                         ELSE LEAST(now() + make_interval(secs => delay), GREATEST(give_up_at, now())) END
      FROM told
     WHERE job.id = told.id AND job.lease = told.lease AND job.finalized_at IS NULL
    RETURNING job.id, told.lease, ends, spent, told.attempt, told.worker, class, message
), history AS (
    INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
    SELECT id, attempt, worker, class, message FROM settled WHERE ends OR spent > 0
)
SELECT lease, ends FROM settled
