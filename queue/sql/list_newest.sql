-- inspect::list_newest
SELECT {columns} FROM (
        {newest}
     ) AS job
 WHERE {matches}
 ORDER BY id DESC LIMIT $12
