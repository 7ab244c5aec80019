-- inspect::walk
WITH job AS MATERIALIZED (
    SELECT id, kind, state, queue, worker, group_key, subject, unique_key, created_at, finalized_at
      FROM queue.jobs
     WHERE id > coalesce($9, '00000000-0000-0000-0000-000000000000'::uuid)
       AND id < coalesce($10, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
     ORDER BY id LIMIT $11
)
SELECT id, kind::text, subject, unique_key IS NOT NULL AS has_unique_key, true AS is_match
  FROM job
 WHERE ($12::uuid[] IS NULL OR subject = ANY ($12)) AND {matches}
UNION ALL
(SELECT id, kind::text, subject, false, false FROM job ORDER BY id DESC LIMIT 1)
 ORDER BY id, is_match DESC
