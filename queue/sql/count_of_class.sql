-- inspect::count_of_class
SELECT least(counted.matching, $12) AS jobs, counted.matching > $12 OR scanned.attempts >= $11 AS more
  FROM (SELECT count(*) AS matching
          FROM (SELECT FROM (
        {of_class}
                     ) AS job
                 WHERE {matches}
                 LIMIT $12 + 1) AS found) AS counted,
       (SELECT count(*) AS attempts
          FROM (SELECT FROM queue.failed_attempts
                 WHERE class = $6
                   AND job_id < coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                   AND job_id >= coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid)
                 LIMIT $11) AS failed) AS scanned
