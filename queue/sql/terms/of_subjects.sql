SELECT one.* FROM unnest($13::uuid[]) AS wanted (subject)
         CROSS JOIN LATERAL (
               SELECT * FROM queue.jobs AS job
                WHERE job.subject = wanted.subject
                  AND id < coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
                  AND id >= coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid)
                ORDER BY id DESC LIMIT $11
         ) AS one
         ORDER BY id DESC LIMIT $11
