SELECT * FROM queue.jobs
         WHERE state = $2 AND finalized_at IS NOT NULL
           AND (finalized_at, id) < (coalesce($13, 'infinity'::timestamptz),
                                     coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
           AND finalized_at >= coalesce($7, '-infinity'::timestamptz)
           AND id >= coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid)
         ORDER BY finalized_at DESC, id DESC LIMIT $11
