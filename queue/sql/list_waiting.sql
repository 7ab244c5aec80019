-- inspect::list_waiting
SELECT {columns} FROM (
        {waiting}
     ) AS job
 WHERE {matches}
 ORDER BY id DESC LIMIT $12
