SELECT * FROM (SELECT * FROM queue.jobs WHERE state = 'running' OFFSET 0) AS at_work
         WHERE id < coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
           AND id >= coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid)
         ORDER BY id DESC LIMIT $11
