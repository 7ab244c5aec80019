-- inspect::list_ended
SELECT * FROM (SELECT * FROM queue.jobs
                WHERE state = $1 AND finalized_at IS NOT NULL
                  AND (finalized_at, id) < (coalesce($2, 'infinity'::timestamptz),
                                            coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
                ORDER BY finalized_at DESC, id DESC LIMIT $6) AS looked_at
 WHERE ($4::text IS NULL OR kind = $4)
 ORDER BY finalized_at DESC, id DESC LIMIT $5
