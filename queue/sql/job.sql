-- inspect::job
SELECT {columns},
       (SELECT COALESCE(jsonb_agg(to_jsonb(failed) ORDER BY attempt), '[]')
          FROM queue.failed_attempts AS failed WHERE job_id = job.id) AS failures
  FROM queue.jobs AS job WHERE id = $1
