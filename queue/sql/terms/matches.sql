($1::text IS NULL OR job.kind = $1) AND ($2::queue.job_state IS NULL OR job.state = $2)
   AND ($3::text IS NULL OR job.queue = $3) AND ($4::text IS NULL OR job.worker = $4)
   AND ($5::text IS NULL OR job.group_key = $5)
   AND ($7::timestamptz IS NULL OR CASE WHEN $2 > 'running' THEN job.finalized_at ELSE job.created_at END >= $7)
   AND ($8::timestamptz IS NULL OR CASE WHEN $2 > 'running' THEN job.finalized_at ELSE job.created_at END < $8)
   AND ($6::text IS NULL OR $6 = (SELECT class FROM queue.failed_attempts
                                   WHERE job_id = job.id ORDER BY attempt DESC LIMIT 1))
