SELECT one.*, failed.job_id AS failed_job, failed.attempt AS failed_attempt
          FROM (SELECT job_id, attempt FROM queue.failed_attempts
                 WHERE class = $6
                   AND job_id < coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                   AND job_id >= coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid)
                 ORDER BY job_id DESC, attempt DESC LIMIT $11) AS failed
         CROSS JOIN LATERAL (SELECT * FROM queue.jobs WHERE id = failed.job_id OFFSET 0) AS one
         WHERE failed.attempt = (SELECT attempt FROM queue.failed_attempts
                                  WHERE job_id = failed.job_id ORDER BY attempt DESC LIMIT 1)
