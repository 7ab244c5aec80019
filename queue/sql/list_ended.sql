-- inspect::list_ended
SELECT {columns} FROM (
        {ended}
     ) AS job
 WHERE {matches}
 ORDER BY finalized_at DESC, id DESC LIMIT $12
