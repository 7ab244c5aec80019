-- fence::fail
WITH report AS MATERIALIZED (
    SELECT report.*, last OR now() >= job.give_up_at AS ends, job.attempt, job.worker
      FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::integer[], $5::float8[], $6::text[], $7::text[])
        AS report (id, lease, last, spent, delay, class, message)
      JOIN queue.jobs AS job USING (id, lease)
), settled AS (
    UPDATE queue.jobs AS job
       SET state = CASE WHEN ends THEN 'discarded' ELSE 'available' END::queue.job_state,
           lease = CASE WHEN ends THEN job.lease END,
           worker_id = CASE WHEN ends THEN worker_id END,
           finalized_at = CASE WHEN ends THEN now() END,
           errors = least(errors::bigint + spent, job.attempt - crashes),
           reason = message, crash_remembered = false, alone = false,
           run_at = CASE WHEN ends THEN run_at
                         ELSE LEAST(now() + make_interval(secs => delay), GREATEST(give_up_at, now())) END
      FROM report
     WHERE job.id = report.id AND job.lease = report.lease AND job.finalized_at IS NULL
    RETURNING job.id, report.lease, ends, spent, report.attempt, report.worker, class, message
), history AS (
    INSERT INTO queue.failed_attempts (job_id, attempt, worker, class, message)
    SELECT id, attempt, worker, class, message FROM settled WHERE ends OR spent > 0
    ON CONFLICT DO NOTHING
)
SELECT lease, ends FROM settled
