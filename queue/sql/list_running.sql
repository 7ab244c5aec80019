-- inspect::list_running
SELECT job.* FROM (
        {running}
     ) AS job
 WHERE {matches}
 ORDER BY id DESC LIMIT $12
