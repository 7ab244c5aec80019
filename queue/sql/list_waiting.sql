-- inspect::list_waiting
SELECT {columns} FROM (
        {waiting}
     ) AS job
 WHERE id < coalesce($9, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
   AND id >= coalesce($10, '00000000-0000-0000-0000-000000000000'::uuid)
   AND {matches}
 ORDER BY id DESC LIMIT $12
