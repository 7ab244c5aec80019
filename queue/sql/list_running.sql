-- inspect::list_running
SELECT {columns} FROM (
        {running}
     ) AS job
 WHERE {matches}
 ORDER BY id DESC LIMIT $12
